// Package gadgettest compiles circuits and solves them, for the tests of gadgets.
package gadgettest

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"
)

// Compile returns circuit's constraints over BN254.
func Compile(t testing.TB, circuit frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	logger.Disable()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

// Solve returns nil if assignment satisfies system.
func Solve(t testing.TB, system constraint.ConstraintSystem, assignment frontend.Circuit, options ...solver.Option) error {
	t.Helper()
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	return system.IsSolved(witness, options...)
}

// Honest fails the test if assignment does not satisfy system.
func Honest(t testing.TB, system constraint.ConstraintSystem, assignment frontend.Circuit) {
	t.Helper()
	if err := Solve(t, system, assignment); err != nil {
		t.Errorf("honest witness refused: %v", err)
	}
}

// Forged fails the test if assignment satisfies system.
func Forged(t testing.TB, name string, system constraint.ConstraintSystem, assignment frontend.Circuit, options ...solver.Option) {
	t.Helper()
	if Solve(t, system, assignment, options...) == nil {
		t.Errorf("forged witness accepted: %s", name)
	}
}
