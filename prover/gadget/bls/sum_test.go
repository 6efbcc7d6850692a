package bls

import (
	"math/big"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"

	"provery/prover/gadget/gadgettest"
)

type sumCircuit struct {
	Keys []sw_bls12381.G1Affine
	Bits []frontend.Variable
	Sum  sw_bls12381.G1Affine
}

func (c *sumCircuit) Define(api frontend.API) error {
	f, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return err
	}
	got, err := Sum(api, c.Keys, c.Bits)
	if err != nil {
		return err
	}
	f.AssertIsEqual(&got.X, &c.Sum.X)
	f.AssertIsEqual(&got.Y, &c.Sum.Y)
	return nil
}

func sumOf(keys []bls12381.G1Affine, bits []int, sum bls12381.G1Affine) *sumCircuit {
	c := &sumCircuit{Keys: inCircuit(keys), Sum: sw_bls12381.NewG1Affine(sum)}
	for _, bit := range bits {
		c.Bits = append(c.Bits, bit)
	}
	return c
}

func added(keys []bls12381.G1Affine, bits []int) (sum bls12381.G1Affine) {
	for i, bit := range bits {
		if bit == 1 {
			sum.Add(&sum, &keys[i])
		}
	}
	return sum
}

func sumSystem(t testing.TB, count int) *sumCircuit {
	return &sumCircuit{Keys: make([]sw_bls12381.G1Affine, count), Bits: make([]frontend.Variable, count)}
}

func TestSum(t *testing.T) {
	keys := testKeys(5)
	keys[3] = keys[1] // small networks have duplicates
	system := gadgettest.Compile(t, sumSystem(t, len(keys)))
	for _, bits := range [][]int{{1, 1, 1, 1, 1}, {0, 1, 0, 1, 0}, {0, 0, 0, 0, 1}, {1, 0, 0, 0, 0}} {
		sum := added(keys, bits)
		gadgettest.Honest(t, system, sumOf(keys, bits, sum))
		for at := range bits {
			forged := append([]int{}, bits...)
			forged[at] = 1 - forged[at]
			gadgettest.Forged(t, "a bit", system, sumOf(keys, forged, sum))
		}
		other := append([]bls12381.G1Affine{}, keys...)
		other[0], other[4] = other[4], other[0]
		if bits[0] != bits[4] {
			gadgettest.Forged(t, "keys in another order", system, sumOf(other, bits, sum))
		}
		var negated bls12381.G1Affine
		gadgettest.Forged(t, "the negated sum", system, sumOf(keys, bits, *negated.Neg(&sum)))
	}
}

// anySumCircuit makes no claim about the sum: it refuses what Sum refuses.
type anySumCircuit struct {
	Keys []sw_bls12381.G1Affine
	Bits []frontend.Variable
}

func (c *anySumCircuit) Define(api frontend.API) error {
	_, err := Sum(api, c.Keys, c.Bits)
	return err
}

// Where a chord is vertical, its slope is free: the guard must refuse it whatever the hint answers.
func TestSumRefusesVerticalChords(t *testing.T) {
	keys := testKeys(3)
	empty := sumSystem(t, len(keys))
	system := gadgettest.Compile(t, &anySumCircuit{empty.Keys, empty.Bits})
	honest := sumOf(keys, []int{1, 1, 1}, keys[0])
	gadgettest.Honest(t, system, &anySumCircuit{honest.Keys, honest.Bits})
	var opposite, total bls12381.G1Affine
	opposite.Neg(&keys[0])
	total.Add(&offset, &keys[0])
	for name, c := range map[string]struct {
		keys []bls12381.G1Affine
		bits []int
	}{
		"no key at all":          {keys, []int{0, 0, 0}},
		"opposite keys":          {[]bls12381.G1Affine{keys[0], opposite, keys[1]}, []int{1, 1, 0}},
		"the offset as a key":    {[]bls12381.G1Affine{offset, keys[0], keys[1]}, []int{1, 1, 1}},
		"a partial sum as a key": {[]bls12381.G1Affine{keys[0], total, keys[1]}, []int{1, 1, 1}},
		"an unset partial sum":   {[]bls12381.G1Affine{keys[0], total, keys[1]}, []int{1, 0, 1}},
	} {
		for _, slope := range []int64{0, 1, 12345} {
			lie := func(field *big.Int, inputs, outputs []*big.Int) error {
				if err := slopeHint(field, inputs, outputs); err != nil {
					return err
				}
				return emulated.UnwrapHint(inputs, outputs, func(p *big.Int, in, out []*big.Int) error {
					run := new(big.Int).Sub(in[2], in[0])
					if run.Mod(run, p).Sign() == 0 {
						out[0].SetInt64(slope)
						return nil
					}
					out[0].ModInverse(run, p)
					out[0].Mul(out[0], new(big.Int).Sub(in[3], in[1])).Mod(out[0], p)
					return nil
				})
			}
			spoilt := sumOf(c.keys, c.bits, keys[0])
			option := solver.OverrideHint(solver.GetHintID(slopeHint), lie)
			gadgettest.Forged(t, name, system, &anySumCircuit{spoilt.Keys, spoilt.Bits}, option)
		}
	}
}

func TestSumSlopeHint(t *testing.T) {
	keys, bits := testKeys(3), []int{1, 0, 1}
	system := gadgettest.Compile(t, sumSystem(t, len(keys)))
	gadgettest.Lies(t, system, sumOf(keys, bits, added(keys, bits)), 16)
	for _, call := range []int{1, 2, 3, 4} {
		calls := 0
		lie := func(field *big.Int, inputs, outputs []*big.Int) error {
			if err := slopeHint(field, inputs, outputs); err != nil {
				return err
			}
			if calls++; calls == call {
				outputs[0].Xor(outputs[0], big.NewInt(1))
			}
			return nil
		}
		gadgettest.Forged(t, "slope", system, sumOf(keys, bits, added(keys, bits)),
			solver.OverrideHint(solver.GetHintID(slopeHint), lie), solver.WithNbTasks(1))
	}
}

// x of the partial sum, plus p, is the same coordinate in other limbs: the guard must see through it.
func TestGuardSeesBothForms(t *testing.T) {
	system := gadgettest.Compile(t, &differCircuit{})
	small := big.NewInt(7)
	gadgettest.Honest(t, system, &differCircuit{raw(big.NewInt(8)), raw(small)})
	gadgettest.Forged(t, "equal", system, &differCircuit{raw(small), raw(small)})
	gadgettest.Forged(t, "equal but for p", system, &differCircuit{raw(new(big.Int).Add(small, fp.Modulus())), raw(small)})
}

type differCircuit struct{ A, B element }

func (c *differCircuit) Define(api frontend.API) error {
	f, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return err
	}
	a := &adder{api, f, 1}
	a.differ(f.Reduce(&c.A), f.Reduce(&c.B))
	api.AssertIsDifferent(a.guard, 0)
	return nil
}
