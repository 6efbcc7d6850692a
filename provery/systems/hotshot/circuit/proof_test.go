package circuit

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/backend/plonk"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/frontend/cs/scs"
	"github.com/consensys/gnark/test/unsafekzg"

	"provery/prover/circuits"
	"provery/prover/gadget/gadgettest"
)

// proven is the capacity at which the tests make proofs, with the library's own prover.
const proven = 5

func compileFor(t *testing.T, builder frontend.NewBuilder, capacity int) constraint.ConstraintSystem {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), builder, New(capacity))
	if err != nil {
		t.Fatal(err)
	}
	return system
}

func full(t *testing.T) witness.Witness {
	t.Helper()
	out, err := circuits.Witness(honest(t, invented(proven, 2), proven), false)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A finished proof must not verify for any other public value, the BLS commitment included: gnark's Groth16 takes any
// value of a public input that no constraint has.
func onlyItsPublicValues(t *testing.T, verify func(witness.Witness) error) {
	t.Helper()
	given := func(state *State) witness.Witness {
		out, err := circuits.Witness(state, true)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	c := invented(proven, 2)
	if err := verify(given(c.public())); err != nil {
		t.Fatal(err)
	}
	for name := range public(New(0)) {
		state := c.public()
		value := public(state)[name]
		*value = plusOne(t, *value)
		if verify(given(state)) == nil {
			t.Errorf("the proof verifies for another %s", name)
		}
	}
}

func TestPublicValuesOfAGroth16Proof(t *testing.T) {
	system := compileFor(t, r1cs.NewBuilder, proven)
	pk, vk, err := groth16.Setup(system)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := groth16.Prove(system, pk, full(t))
	if err != nil {
		t.Fatal(err)
	}
	onlyItsPublicValues(t, func(public witness.Witness) error { return groth16.Verify(proof, vk, public) })
}

func TestPublicValuesOfAPlonkProof(t *testing.T) {
	system := compileFor(t, scs.NewBuilder, proven)
	srs, lagrange, err := unsafekzg.NewSRS(system)
	if err != nil {
		t.Fatal(err)
	}
	pk, vk, err := plonk.Setup(system, srs, lagrange)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := plonk.Prove(system, pk, full(t))
	if err != nil {
		t.Fatal(err)
	}
	onlyItsPublicValues(t, func(public witness.Witness) error { return plonk.Verify(proof, vk, public) })
}

// The gates are others than the constraints: what must not be believed is tried with them too.
func TestStatementInPlonk(t *testing.T) {
	system := compileFor(t, scs.NewBuilder, small)
	c := invented(small, 2)
	gadgettest.Honest(t, system, honest(t, c, small))
	gadgettest.Lies(t, system, honest(t, c, small), 8)
	for name := range public(New(0)) {
		if name == "voting_bls" {
			continue
		}
		state := honest(t, c, small)
		value := public(state)[name]
		*value = plusOne(t, *value)
		gadgettest.Forged(t, name, system, state)
	}
	for name, change := range map[string]func(*State){
		"an absentee's bit":     func(s *State) { s.Rows[2].Signed = 1 },
		"padding's bit":         func(s *State) { s.Rows[5].Signed = 1 },
		"a bit of two":          func(s *State) { s.Rows[0].Signed = 2 },
		"a key replaced":        func(s *State) { s.Rows[2].Key = s.Rows[1].Key },
		"a stake raised":        func(s *State) { s.Rows[2].Stake = 99 },
		"a row's signature":     func(s *State) { s.Rows[0].Signature = s.Rows[1].Signature },
		"a missing placeholder": func(s *State) { s.Rows[5].Signature = s.Rows[1].Signature },
	} {
		state := honest(t, c, small)
		change(state)
		gadgettest.Forged(t, name, system, state)
	}
}
