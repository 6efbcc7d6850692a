package circuit

import (
	"slices"

	"github.com/consensys/gnark/frontend"
	stdbits "github.com/consensys/gnark/std/math/bits"

	"provery/prover/gadget/rescue"
	"provery/prover/gadget/schnorr"
)

// excessBits bounds by how much the signers' stake may exceed the threshold.
const excessBits = 128

// TableState are the commitments to a stake table's columns, and the stake that must sign.
type TableState struct{ BLS, Schnorr, Amount, Threshold frontend.Variable }

// Row is one entry of the stake table: a validator's, or padding, which is the neutral key with no stake.
type Row struct {
	Key   schnorr.PointVariable
	Stake frontend.Variable
	// Signed says whether Signature is the validator's; otherwise it is one under the base point as key, whose
	// secret is one.
	Signed    frontend.Variable
	Signature schnorr.SignatureVariable
}

// State states that validators with enough stake have signed a light-client state.
//
// Statement: the rows' keys open Voting.Schnorr and their stakes Voting.Amount; the stakes of the rows whose bit is
// set add up to Voting.Threshold at least, and at most 2^128 more; every such row's key is a point of the curve, of an
// order that does not divide 8, and has signed (schnorr.Verify) the message View, Height, BlockCommRoot, Next.BLS,
// Next.Schnorr, Next.Amount, Next.Threshold. Voting.BLS is not opened: it is what the proof was made for.
//
// The verifier must check what the circuit takes as given: that Voting is the state of the stake table it trusts, at
// this capacity, whose keys are in the subgroup, whose stakes add up below the field's modulus (2^253) and whose
// threshold is not zero; and what the state means: that it is newer, and which epoch's.
//
// Cost: bench/results/circuits.json; a row is 4,200 constraints, the signature in it 3,908.
type State struct {
	View          frontend.Variable `gnark:",public"`
	Height        frontend.Variable `gnark:",public"`
	BlockCommRoot frontend.Variable `gnark:",public"`
	Voting        TableState        `gnark:",public"`
	Next          TableState        `gnark:",public"`

	Rows []Row
}

// New returns an empty circuit for tables of so many rows.
func New(capacity int) *State { return &State{Rows: make([]Row, capacity)} }

// Define states it all.
func (c *State) Define(api frontend.API) error {
	hasher := rescue.New(api)
	// a public value that no constraint has could be changed in a finished Groth16 proof
	api.Mul(c.Voting.BLS, c.Voting.BLS)
	if err := c.assertTable(api, hasher); err != nil {
		return err
	}
	c.assertWeight(api)
	message := []frontend.Variable{c.View, c.Height, c.BlockCommRoot, c.Next.BLS, c.Next.Schnorr, c.Next.Amount, c.Next.Threshold}
	for _, row := range c.Rows {
		if err := row.assertSigned(api, hasher, message); err != nil {
			return err
		}
	}
	return nil
}

// assertTable states that the rows open the commitments. Cost: 288 constraints a row.
func (c *State) assertTable(api frontend.API, hasher *rescue.Hasher) error {
	var keys, stakes []frontend.Variable
	for _, row := range c.Rows {
		keys = append(keys, row.Key.X, row.Key.Y)
		stakes = append(stakes, row.Stake)
	}
	for _, column := range []struct {
		commitment frontend.Variable
		values     []frontend.Variable
	}{{c.Voting.Schnorr, keys}, {c.Voting.Amount, stakes}} {
		sum, err := hasher.Sum(column.values...)
		if err != nil {
			return err
		}
		api.AssertIsEqual(sum, column.commitment)
	}
	return nil
}

// assertWeight states that bits are boolean and that the signers' stake reaches the threshold. Cost: 2 constraints a
// row, and 129.
func (c *State) assertWeight(api frontend.API) {
	excess := api.Neg(c.Voting.Threshold)
	for _, row := range c.Rows {
		api.AssertIsBoolean(row.Signed)
		excess = api.Add(excess, api.Mul(row.Signed, row.Stake))
	}
	stdbits.ToBinary(api, excess, stdbits.WithNbDigits(excessBits))
}

// assertSigned states that the row's key, or the base point where the bit is not set, has signed message: what checks
// a padding row's signature would divide by zero at its neutral key.
func (r *Row) assertSigned(api frontend.API, hasher *rescue.Hasher, message []frontend.Variable) error {
	key := schnorr.PointVariable{
		X: api.Select(r.Signed, r.Key.X, schnorr.Base.X),
		Y: api.Select(r.Signed, r.Key.Y, schnorr.Base.Y),
	}
	return schnorr.Verify(api, hasher, key, r.Signature, slices.Clone(message))
}
