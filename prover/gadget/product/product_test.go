package product

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/scs"

	"provery/prover/gadget/gadgettest"
)

type circuit struct{ A, B, C frontend.Variable }

func (c *circuit) Define(api frontend.API) error {
	Assert(api, api.Add(c.A, c.B, 3), api.Sub(c.A, 1), api.Add(c.C, c.B))
	Assert(api, api.Sub(c.A, 2), api.Sub(c.A, 5), 0)
	return nil
}

type constants struct{ A frontend.Variable }

func (c *constants) Define(api frontend.API) error {
	Assert(api, c.A, 3, 12)
	Assert(api, c.A, c.A, 16)
	return nil
}

func TestAssert(t *testing.T) {
	one, two := gadgettest.Compile(t, &circuit{}), gadgettest.Compile(t, &constants{})
	if one.GetNbConstraints() != 2 {
		t.Errorf("%d constraints, expected 2", one.GetNbConstraints())
	}
	check(t, "R1CS", one, two)
}

func TestAssertInPlonk(t *testing.T) {
	one, err := frontend.Compile(ecc.BN254.ScalarField(), scs.NewBuilder, &circuit{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := frontend.Compile(ecc.BN254.ScalarField(), scs.NewBuilder, &constants{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "PLONK", one, two)
}

func check(t *testing.T, name string, one, two constraint.ConstraintSystem) {
	t.Helper()
	// (5+2+3)·(5−1) = 38+2, and 5 is one of the roots; so is 2: (2+2+3)·(2−1) = 5+2
	gadgettest.Honest(t, one, &circuit{5, 2, 38})
	gadgettest.Honest(t, one, &circuit{2, 2, 5})
	gadgettest.Forged(t, name+": product", one, &circuit{5, 2, 37})
	gadgettest.Forged(t, name+": factor", one, &circuit{5, 3, 38})
	gadgettest.Forged(t, name+": no root", one, &circuit{3, 0, 9})
	gadgettest.Honest(t, two, &constants{4})
	gadgettest.Forged(t, name+": constants", two, &constants{-4})
}
