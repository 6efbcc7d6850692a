package bls

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/hash_to_curve"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"

	"provery/prover/gadget/gadgettest"
	"provery/prover/gadget/sha256"
)

type hashCircuit struct {
	Message [2]frontend.Variable
	Point   sw_bls12381.G2Affine
}

func (c *hashCircuit) Define(api frontend.API) error {
	g2, err := sw_bls12381.NewG2(api)
	if err != nil {
		return err
	}
	point, err := HashToG2(api, sha256.New(api).Bits(c.Message))
	if err != nil {
		return err
	}
	g2.AssertIsEqual(point, &c.Point)
	return nil
}

func hashOf(message []byte, point bls12381.G2Affine) *hashCircuit {
	halves := [2]frontend.Variable{new(big.Int).SetBytes(message[:16]), new(big.Int).SetBytes(message[16:])}
	return &hashCircuit{halves, sw_bls12381.NewG2Affine(point)}
}

func hashed(t testing.TB, message []byte, tag string) bls12381.G2Affine {
	t.Helper()
	point, err := bls12381.HashToG2(message, []byte(tag))
	if err != nil {
		t.Fatal(err)
	}
	return point
}

// wrongRoot has the library's square root answered by its negative, which satisfies the same equation.
func wrongRoot(t testing.TB) solver.Option {
	t.Helper()
	for _, hint := range solver.GetRegisteredHints() {
		if !strings.HasSuffix(solver.GetHintName(hint), "sw_bls12381.g2SqrtRatioHint") {
			continue
		}
		return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
			if err := hint(field, inputs, outputs); err != nil {
				return err
			}
			limbs := outputs[len(outputs)-12:] // two coordinates of six limbs
			for ; len(limbs) > 0; limbs = limbs[6:] {
				n := new(big.Int)
				for i := range 6 {
					n.Add(n, new(big.Int).Lsh(limbs[i], uint(limbBits*i)))
				}
				n.Mod(n.Neg(n), fp.Modulus())
				for i := range 6 {
					limbs[i].Rsh(n, uint(limbBits*i)).And(limbs[i], new(big.Int).SetUint64(1<<64-1))
				}
			}
			return nil
		})
	}
	t.Fatal("the library has no such hint")
	return nil
}

func TestHashToG2(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles 0.6 million constraints")
	}
	system := gadgettest.Compile(t, &hashCircuit{})
	for _, text := range []string{strings.Repeat("00", 32), strings.Repeat("ab", 32), "0123456789abcdef" + strings.Repeat("f", 48)} {
		message, _ := hex.DecodeString(text)
		point := hashed(t, message, SignatureDST)
		gadgettest.Honest(t, system, hashOf(message, point))
		if err := gadgettest.Solve(t, system, hashOf(message, point), wrongRoot(t)); err != nil {
			t.Errorf("the root's sign is taken from the hint: %v", err)
		}
		var negated bls12381.G2Affine
		negated.Neg(&point)
		gadgettest.Forged(t, "the negated point", system, hashOf(message, negated))
		gadgettest.Forged(t, "the negated point, from negated roots", system, hashOf(message, negated), wrongRoot(t))
		for _, at := range []int{0, 31} {
			other := append([]byte{}, message...)
			other[at] ^= 0x81
			gadgettest.Forged(t, "another message's point", system, hashOf(other, point))
		}
	}
	message := make([]byte, 32)
	for _, scheme := range []string{"SIG_%sNUL_", "POP_%sPOP_"} {
		tag := fmt.Sprintf("BLS_"+scheme, "BLS12381G2_XMD:SHA-256_SSWU_RO_")
		gadgettest.Forged(t, "the point under "+tag, system, hashOf(message, hashed(t, message, tag)))
	}
	gadgettest.Lies(t, system, hashOf(message, hashed(t, message, SignatureDST)), 2)
}

type chordCircuit struct{ P, Q sw_bls12381.G2Affine }

func (c *chordCircuit) Define(api frontend.API) error {
	g2, err := sw_bls12381.NewG2(api)
	if err != nil {
		return err
	}
	chord(api, g2, &c.P, &c.Q)
	return nil
}

// The slope between a point and itself is 0/0, whatever the hint answers.
func TestChordRefusesAPointTwice(t *testing.T) {
	system := gadgettest.Compile(t, &chordCircuit{})
	p, q := hashed(t, []byte("p"), SignatureDST), hashed(t, []byte("q"), SignatureDST)
	gadgettest.Honest(t, system, &chordCircuit{sw_bls12381.NewG2Affine(p), sw_bls12381.NewG2Affine(q)})
	gadgettest.Forged(t, "a point twice", system, &chordCircuit{sw_bls12381.NewG2Affine(p), sw_bls12381.NewG2Affine(p)})
	var negated bls12381.G2Affine
	negated.Neg(&p)
	gadgettest.Forged(t, "opposite points", system, &chordCircuit{sw_bls12381.NewG2Affine(p), sw_bls12381.NewG2Affine(negated)})
}

type isogenyCircuit struct{ P sw_bls12381.G2Affine }

func (c *isogenyCircuit) Define(api frontend.API) error {
	g2, err := sw_bls12381.NewG2(api)
	if err != nil {
		return err
	}
	f, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return err
	}
	isogeny(f, g2, &c.P)
	return nil
}

// Where the denominators vanish the numerators do not: no quotient satisfies the equation. The denominator of x is the
// square of a polynomial of degree one, whose root is half of its second coefficient, negated.
func TestIsogenyRefusesItsKernel(t *testing.T) {
	system := gadgettest.Compile(t, &isogenyCircuit{})
	p := hashed(t, []byte("p"), SignatureDST)
	gadgettest.Honest(t, system, &isogenyCircuit{sw_bls12381.NewG2Affine(p)}) // the formula asks for no curve
	denominator := hash_to_curve.G2IsogenyMap()[1]
	var half fp.Element
	half.SetUint64(2)
	half.Inverse(&half)
	p.X.Neg(&denominator[1])
	p.X.MulByElement(&p.X, &half)
	value := new(bls12381.E2).Add(&p.X, &denominator[1])
	if value.Mul(value, &p.X).Add(value, &denominator[0]); !value.IsZero() {
		t.Fatalf("the denominator is %s", value)
	}
	gadgettest.Forged(t, "a point of the kernel", system, &isogenyCircuit{sw_bls12381.NewG2Affine(p)})
}
