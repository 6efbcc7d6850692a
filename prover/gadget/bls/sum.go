package bls

import (
	"fmt"
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"
)

func init() { solver.RegisterHint(slopeHint) }

// offset is where the sum starts, so that no partial sum is infinity and none meets a key. Nobody knows its
// discrete logarithm: it is a hash to the curve.
var offset = func() bls12381.G1Affine {
	point, err := bls12381.HashToG1([]byte("start of a sum of committee keys"), []byte("PROVERY_OFFSET_BLS12381G1_XMD:SHA-256_SSWU_RO_"))
	if err != nil {
		panic(fmt.Sprintf("hash to curve: %v", err))
	}
	return point
}()

// adder adds points with the chord rule and collects the proof that no chord was vertical.
type adder struct {
	api   frontend.API
	fp    *field
	guard frontend.Variable
}

// Sum adds the keys whose bit is set.
//
// Statement: sum = Σ bitᵢ·keyᵢ, for boolean bits and canonical points of the curve; a sum of infinity cannot be proven.
// Cost: 825 constraints a key in a small circuit; with Commit 1,114 together in one of 512 keys.
// Method: affine additions from an offset point that is taken away at the end. A chord between points with the same x
// would leave its slope free, so each addition proves that the x differ; two keys may be equal all the same, as
// they meet different partial sums. An honest prover meets a partial sum's x with a probability of 2^-380.
// Hint: the slope, bound by slope·(x₂ − x₁) = y₂ − y₁.
func Sum(api frontend.API, keys []sw_bls12381.G1Affine, bits []frontend.Variable) (*sw_bls12381.G1Affine, error) {
	if len(keys) != len(bits) {
		return nil, fmt.Errorf("%d bits for %d keys", len(bits), len(keys))
	}
	fp, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return nil, err
	}
	a := &adder{api, fp, 1}
	total := a.constant(offset)
	for i := range keys {
		next, err := a.add(total, &keys[i])
		if err != nil {
			return nil, err
		}
		total = &sw_bls12381.G1Affine{X: *fp.Select(bits[i], &next.X, &total.X), Y: *fp.Select(bits[i], &next.Y, &total.Y)}
	}
	var back bls12381.G1Affine
	back.Neg(&offset)
	sum, err := a.add(total, a.constant(back))
	if err != nil {
		return nil, err
	}
	api.AssertIsDifferent(a.guard, 0)
	return sum, nil
}

func (a *adder) constant(p bls12381.G1Affine) *sw_bls12381.G1Affine {
	return &sw_bls12381.G1Affine{X: *a.fp.NewElement(p.X), Y: *a.fp.NewElement(p.Y)}
}

// add returns p + q for points with different x, of which q's is canonical.
func (a *adder) add(p, q *sw_bls12381.G1Affine) (*sw_bls12381.G1Affine, error) {
	a.differ(&p.X, &q.X)
	slopes, err := a.fp.NewHint(slopeHint, 1, &p.X, &p.Y, &q.X, &q.Y)
	if err != nil {
		return nil, err
	}
	slope := slopes[0]
	a.fp.AssertEvalIsZero([][]*element{{slope, &q.X}, {slope, &p.X}, {&q.Y}, {&p.Y}}, []int{1, -1, -1, 1})
	x := a.fp.Eval([][]*element{{slope, slope}, {&p.X}, {&q.X}}, []int{1, -1, -1})
	y := a.fp.Eval([][]*element{{slope, &p.X}, {slope, x}, {&p.Y}}, []int{1, -1, -1})
	return &sw_bls12381.G1Affine{X: *x, Y: *y}, nil
}

// differ makes guard zero if the coordinates are equal modulo p. The second is below p and the first below
// 2^381 < 2p, so that equal ones differ by 0 or p as whole numbers, and so do their images in the circuit's field.
// The converse fails for one pair in 2^253, which an honest prover does not meet.
func (a *adder) differ(x, canonical *element) {
	low, high := packed(a.api, x), packed(a.api, canonical)
	unit := new(big.Int).Lsh(big.NewInt(1), lowBits)
	difference := a.api.Add(a.api.Sub(low[0], high[0]), a.api.Mul(unit, a.api.Sub(low[1], high[1])))
	a.guard = a.api.Mul(a.guard, a.api.Mul(difference, a.api.Sub(difference, fp.Modulus())))
}

// slopeHint answers with (y₂ − y₁)/(x₂ − x₁), and zero for a vertical chord.
func slopeHint(_ *big.Int, inputs, outputs []*big.Int) error {
	return emulated.UnwrapHint(inputs, outputs, func(p *big.Int, in, out []*big.Int) error {
		run := new(big.Int).Sub(in[2], in[0])
		if run.ModInverse(run.Mod(run, p), p) == nil {
			out[0].SetUint64(0)
			return nil
		}
		rise := new(big.Int).Sub(in[3], in[1])
		out[0].Mod(rise.Mul(rise, run), p)
		return nil
	})
}
