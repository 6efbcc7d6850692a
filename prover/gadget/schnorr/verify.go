package schnorr

import (
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/product"
	"provery/prover/gadget/rescue"
)

// PointVariable is a point of the Edwards curve in a circuit.
type PointVariable struct{ X, Y frontend.Variable }

// SignatureVariable is a signature in a circuit.
type SignatureVariable struct {
	S frontend.Variable
	R PointVariable
}

// Assign returns p for a witness.
func (p Point) Assign() PointVariable { return PointVariable{p.X, p.Y} }

// Assign returns s for a witness.
func (s *Signature) Assign() SignatureVariable { return SignatureVariable{s.S, s.R.Assign()} }

// Verify states that signature is key's signature of message.
func Verify(api frontend.API, hasher *rescue.Hasher, key PointVariable, signature SignatureVariable, message []frontend.Variable) error {
	r := signature.R
	assertProper(api, key)
	hash, err := hasher.Sum(append([]frontend.Variable{number(*domain), key.X, key.Y, r.X, r.Y}, message...)...)
	if err != nil {
		return err
	}
	u := api.DivUnchecked(api.Add(1, key.Y), api.Sub(1, key.Y))
	montgomery := point{u, api.DivUnchecked(api.Mul(u, number(scale)), key.X)}
	sum, err := subtractMultiple(api, canonicalBits(api, hash)[:challengeBits], montgomery)
	if err != nil {
		return err
	}
	if sum, err = addBase(api, sum, signature.S); err != nil {
		return err
	}
	assertEqual(api, r, sum)
	return nil
}

// assertProper states that p is on the curve and that its order does not divide 8. Cost: 6 constraints.
//
// The eight points of such orders are those with x = 0, y = 0 or x² = y², since doubling gives y = 0 where x² = y²
// and x = 0 where y = 0.
func assertProper(api frontend.API, p PointVariable) {
	xx, yy := api.Mul(p.X, p.X), api.Mul(p.Y, p.Y)
	product.Assert(api, api.Mul(xx, number(edwardsD)), yy, api.Sub(api.Add(xx, yy), 1))
	api.Inverse(api.Mul(p.X, p.Y, api.Sub(xx, yy)))
}

// assertEqual states that p is q, a point of the curve. Cost: 3 constraints.
//
// By the curve's equation u/v is v/(u² + A·u + 1), whose denominator is never zero. Nor is u + 1 on the curve.
func assertEqual(api frontend.API, p PointVariable, q point) {
	square := api.Mul(q.u, q.u)
	product.Assert(api, p.X, api.Add(square, api.Mul(q.u, montgomeryA), 1), api.Mul(q.v, number(scale)))
	product.Assert(api, p.Y, api.Add(q.u, 1), api.Sub(q.u, 1))
}
