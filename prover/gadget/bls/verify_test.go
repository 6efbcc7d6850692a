package bls

import (
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/fields_bls12381"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"

	"provery/prover/gadget/gadgettest"
)

type verifyCircuit struct {
	Key                sw_bls12381.G1Affine
	Message, Signature sw_bls12381.G2Affine
}

func (c *verifyCircuit) Define(api frontend.API) error {
	return Verify(api, &c.Key, &c.Message, &c.Signature)
}

func verifyOf(key bls12381.G1Affine, message, signature bls12381.G2Affine) *verifyCircuit {
	return &verifyCircuit{
		sw_bls12381.NewG1Affine(key), sw_bls12381.NewG2Affine(message), sw_bls12381.NewG2Affine(signature),
	}
}

// trusting returns a point with the lines of its Miller loop, as a constant has them: the library's pairing takes such
// lines as they are, and asks for no subgroup.
func trusting(q bls12381.G2Affine) sw_bls12381.G2Affine {
	point, lines := sw_bls12381.NewG2AffineFixedPlaceholder(), bls12381.PrecomputeLines(q)
	point.P = sw_bls12381.NewG2Affine(q).P
	for i := range lines {
		for j := range lines[i] {
			point.Lines[i][j].R0 = fields_bls12381.FromE2(&lines[i][j].R0)
			point.Lines[i][j].R1 = fields_bls12381.FromE2(&lines[i][j].R1)
		}
	}
	return point
}

// outside returns a point of the twist that is not in the subgroup.
func outside(t testing.TB) (p bls12381.G2Affine) {
	t.Helper()
	for p.X.A0.SetOne(); ; p.X.A0.Add(&p.X.A0, new(fp.Element).SetOne()) {
		y2 := right(&p.X)
		if y2.Legendre() != 1 {
			continue
		}
		p.Y.Sqrt(&y2)
		if p.IsOnCurve() && !p.IsInSubGroup() {
			return p
		}
	}
}

// right is x³ + 4(1 + u).
func right(x *bls12381.E2) (out bls12381.E2) {
	var four bls12381.E2
	four.A0.SetUint64(4)
	four.A1.SetUint64(4)
	out.Square(x).Mul(&out, x)
	return *out.Add(&out, &four)
}

func TestVerify(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles 0.8 million constraints")
	}
	system := gadgettest.Compile(t, &verifyCircuit{})
	message, err := bls12381.HashToG2([]byte("message"), []byte(SignatureDST))
	if err != nil {
		t.Fatal(err)
	}
	var signature, negated, other bls12381.G2Affine
	signature.ScalarMultiplication(&message, secret(1))
	negated.Neg(&signature)
	other.ScalarMultiplication(&message, secret(2))
	key := keyOf(secret(1))
	honest := verifyOf(key, message, signature)
	gadgettest.Honest(t, system, honest)
	gadgettest.Forged(t, "the negated signature", system, verifyOf(key, message, negated))
	gadgettest.Forged(t, "another key's signature", system, verifyOf(key, message, other))
	gadgettest.Forged(t, "another message", system, verifyOf(key, other, signature))
	gadgettest.Forged(t, "an infinite signature", system, verifyOf(key, message, bls12381.G2Affine{}))
	gadgettest.Forged(t, "an infinite message", system, verifyOf(key, bls12381.G2Affine{}, signature))
	off := signature
	off.Y.A0.Add(&off.Y.A0, new(fp.Element).SetOne())
	gadgettest.Forged(t, "a signature off the curve", system, verifyOf(key, message, off))
	gadgettest.Lies(t, system, honest, 2)
}

// e(−G, Q)·e(G, Q) is one for any Q, in the subgroup or not, on the twist or off it: where the key is G and the
// signature is the message, only the test of the subgroup can refuse. That the equation holds is seen from the same
// circuit with lines that are believed.
func TestVerifyChecksTheSubgroup(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles 1.2 million constraints")
	}
	message, signature := sw_bls12381.NewG2AffineFixedPlaceholder(), sw_bls12381.NewG2AffineFixedPlaceholder()
	unchecked := gadgettest.Compile(t, &verifyCircuit{Message: message, Signature: signature})
	checked := gadgettest.Compile(t, &verifyCircuit{})
	_, _, generator, inside := bls12381.Generators()
	gadgettest.Honest(t, checked, verifyOf(generator, inside, inside))
	on := outside(t)
	var torsion bls12381.G2Affine // of an order that divides the cofactor
	torsion.ScalarMultiplication(&on, fr.Modulus())
	off := on
	off.Y.A0.Add(&off.Y.A0, new(fp.Element).SetOne())
	for name, q := range map[string]bls12381.G2Affine{
		"on the twist": on, "of the cofactor's order": torsion, "off the twist": off,
	} {
		key := sw_bls12381.NewG1Affine(generator)
		gadgettest.Honest(t, unchecked, &verifyCircuit{Key: key, Message: trusting(q), Signature: trusting(q)})
		gadgettest.Forged(t, "a point "+name, checked, verifyOf(generator, q, q))
	}
}
