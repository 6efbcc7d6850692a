package schnorr

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/product"
)

// point is an affine point of the Montgomery form in a circuit.
type point struct{ u, v frontend.Variable }

func init() { solver.RegisterHint(chordHint, tangentHint) }

// chordHint answers u and v of P + Q from the slope, P and Q's u.
func chordHint(_ *big.Int, inputs, outputs []*big.Int) error {
	in := elements(inputs)
	slope, u, v, other := &in[0], &in[1], &in[2], &in[3]
	var x, a fr.Element
	a.SetUint64(montgomeryA)
	x.Square(slope).Sub(&x, &a).Sub(&x, u).Sub(&x, other)
	x.BigInt(outputs[0])
	along(slope, u, v, &x).BigInt(outputs[1])
	return nil
}

// tangentHint answers the sum's v from the slope, P and the sum's u.
func tangentHint(_ *big.Int, inputs, outputs []*big.Int) error {
	in := elements(inputs)
	along(&in[0], &in[1], &in[2], &in[3]).BigInt(outputs[0])
	return nil
}

// along follows the line through (u, v) to x and reflects.
func along(slope, u, v, x *fr.Element) *fr.Element {
	var y fr.Element
	return y.Sub(u, x).Mul(&y, slope).Sub(&y, v)
}

func elements(inputs []*big.Int) []fr.Element {
	out := make([]fr.Element, len(inputs))
	for i, input := range inputs {
		out[i].SetBigInt(input)
	}
	return out
}

// add returns p + q, for p other than q. Where p is −q there is no witness; where p is q, any sum is believed.
// Cost: 3 constraints.
func add(api frontend.API, p, q point) (point, error) {
	slope := api.DivUnchecked(api.Sub(q.v, p.v), api.Sub(q.u, p.u))
	// wires of their own, lest expressions grow along a chain of sums
	sum, err := api.Compiler().NewHint(chordHint, 2, slope, p.u, p.v, q.u)
	if err != nil {
		return point{}, err
	}
	product.Assert(api, slope, slope, api.Add(sum[0], montgomeryA, p.u, q.u))
	product.Assert(api, slope, api.Sub(p.u, sum[0]), api.Add(sum[1], p.v))
	return point{sum[0], sum[1]}, nil
}

// doubleAdd returns p + q + p, for p other than q, and p + q other than p. Cost: 5 constraints.
func doubleAdd(api frontend.API, p, q point) (point, error) {
	// the sum p + q has u = square − A − p.u − q.u; its v is not needed
	slope := api.DivUnchecked(api.Sub(q.v, p.v), api.Sub(q.u, p.u))
	square := api.Mul(slope, slope)
	between := api.Sub(square, montgomeryA, p.u, q.u)
	second := api.Neg(api.Add(slope, api.DivUnchecked(api.Mul(p.v, 2), api.Sub(between, p.u))))
	u := api.Add(api.Sub(api.Mul(second, second), square), q.u)
	v, err := api.Compiler().NewHint(tangentHint, 1, second, p.u, p.v, u)
	if err != nil {
		return point{}, err
	}
	product.Assert(api, second, api.Sub(p.u, u), api.Add(v[0], p.v))
	return point{u, v[0]}, nil
}

func constant(p Point) point {
	u, v := p.montgomery()
	return point{number(u), number(v)}
}

func number(x fr.Element) *big.Int { return x.BigInt(new(big.Int)) }
