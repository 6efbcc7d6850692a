package schnorr

import (
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/product"
)

// Multiples of the base point are sums of windows: d·8^i·G for odd d from −7 to 7, in the last one from −3 to 3. The
// sums are the odd numbers below 2^251 in absolute value, among them S or S minus the group's order.
const windows = 83

func init() { solver.RegisterHint(windowsHint) }

// table has the multiples 1, 3, 5, 7 of 8^i·G, and lastly the multiples −3, −1, 1, 3 of 8^83·G, from which the lifted
// offset is taken.
var table = sync.OnceValue(func() (out [windows + 1][4]Point) {
	power := Base
	for i := range windows {
		double := power.Add(power)
		out[i][0] = power
		for j := 1; j < 4; j++ {
			out[i][j] = out[i][j-1].Add(double)
		}
		power = power.Multiply(big.NewInt(8))
	}
	double, off := power.Add(power), lifted().Negate()
	out[windows][0] = power.Add(double).Negate().Add(off)
	for j := 1; j < 4; j++ {
		out[windows][j] = out[windows][j-1].Add(double)
	}
	return out
})

// windowsHint answers for each window two bits that choose among the four and the v of the multiple, which has the
// sign; for the last one the bits alone.
func windowsHint(_ *big.Int, inputs, outputs []*big.Int) error {
	n := new(big.Int).Mod(inputs[0], Order)
	if n.Bit(0) == 0 {
		n.Sub(n, Order)
	}
	// digits −1 and 1 of the odd n, as bits: n = Σ (2·bit − 1)·2^i
	const length = 3*windows + 2
	n.Add(n, new(big.Int).Lsh(big.NewInt(1), length)).Sub(n, big.NewInt(1)).Rsh(n, 1)
	multiples := table()
	for i := range windows {
		low, high, negative := n.Bit(3*i), n.Bit(3*i+1), n.Bit(3*i+2) == 0
		if negative {
			low, high = 1-low, 1-high
		}
		_, v := multiples[i][low+2*high].montgomery()
		if negative {
			v.Neg(&v)
		}
		outputs[3*i].SetUint64(uint64(low))
		outputs[3*i+1].SetUint64(uint64(high))
		v.BigInt(outputs[3*i+2])
	}
	outputs[3*windows].SetUint64(uint64(n.Bit(3 * windows)))
	outputs[3*windows+1].SetUint64(uint64(n.Bit(3*windows + 1)))
	return nil
}

// addBase returns sum − lifted() + s·G. The number s is a hint's input: what is stated is that some number fits.
// Cost: 7 constraints a window.
func addBase(api frontend.API, sum point, s frontend.Variable) (point, error) {
	hints, err := api.Compiler().NewHint(windowsHint, 3*windows+2, s)
	if err != nil {
		return sum, err
	}
	multiples := table()
	for i := range windows {
		var us, squares [4]fr.Element
		for j, multiple := range multiples[i] {
			us[j], squares[j] = multiple.montgomery()
			squares[j].Square(&squares[j])
		}
		bits := choice(api, hints[3*i], hints[3*i+1])
		v := hints[3*i+2]
		product.Assert(api, v, v, bits.choose(api, squares))
		if sum, err = add(api, sum, point{bits.choose(api, us), v}); err != nil {
			return sum, err
		}
	}
	var us, vs [4]fr.Element
	for j, multiple := range multiples[windows] {
		us[j], vs[j] = multiple.montgomery()
	}
	bits := choice(api, hints[3*windows], hints[3*windows+1])
	return add(api, sum, point{bits.choose(api, us), bits.choose(api, vs)})
}

// chosen are two bits and their product.
type chosen struct{ low, high, both frontend.Variable }

func choice(api frontend.API, low, high frontend.Variable) chosen {
	api.AssertIsBoolean(low)
	api.AssertIsBoolean(high)
	return chosen{low, high, api.Mul(low, high)}
}

// choose returns the value at low + 2·high, without a constraint.
func (c chosen) choose(api frontend.API, values [4]fr.Element) frontend.Variable {
	var low, high, both fr.Element
	low.Sub(&values[1], &values[0])
	high.Sub(&values[2], &values[0])
	both.Sub(&values[3], &values[2]).Sub(&both, &low)
	return api.Add(number(values[0]), api.Mul(c.low, number(low)), api.Mul(c.high, number(high)), api.Mul(c.both, number(both)))
}
