package circuit

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/gadgettest"
	"provery/prover/gadget/rescue"
	"provery/prover/gadget/schnorr"
)

// small is a capacity with one padding row.
const small = 6

func honest(t *testing.T, c *Certificate, capacity int) *State {
	t.Helper()
	state, err := Assign(c, capacity)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestStatement(t *testing.T) {
	system := gadgettest.Compile(t, New(small))
	for _, absent := range [][]int{nil, {0}, {1, 4}, {0, 1, 2, 3}} {
		gadgettest.Honest(t, system, honest(t, invented(small, absent...), small))
	}
	full := invented(5)
	gadgettest.Honest(t, gadgettest.Compile(t, New(5)), honest(t, full, 5))
}

// public lists the public values of a circuit.
func public(s *State) map[string]*frontend.Variable {
	return map[string]*frontend.Variable{
		"view": &s.View, "height": &s.Height, "block_comm_root": &s.BlockCommRoot,
		"voting_bls": &s.Voting.BLS, "voting_schnorr": &s.Voting.Schnorr, "voting_amount": &s.Voting.Amount, "voting_threshold": &s.Voting.Threshold,
		"next_bls": &s.Next.BLS, "next_schnorr": &s.Next.Schnorr, "next_amount": &s.Next.Amount, "next_threshold": &s.Next.Threshold,
	}
}

func plusOne(t *testing.T, value frontend.Variable) fr.Element {
	t.Helper()
	var x fr.Element
	if _, err := x.SetInterface(value); err != nil {
		t.Fatal(err)
	}
	one := fr.One()
	return *x.Add(&x, &one)
}

// What is false of another public value has no witness. The voting table's BLS commitment is only what a proof is made
// for, see proof_test.go.
func TestPublicValuesAreStated(t *testing.T) {
	system := gadgettest.Compile(t, New(small))
	c := invented(small, 2)
	for name := range public(New(0)) {
		state := honest(t, c, small)
		value := public(state)[name]
		*value = plusOne(t, *value)
		if name == "voting_bls" {
			gadgettest.Honest(t, system, state)
			continue
		}
		gadgettest.Forged(t, name, system, state)
	}
}

func TestForgedTables(t *testing.T) {
	system := gadgettest.Compile(t, New(small))
	forge := func(name string, change func(*State)) {
		t.Helper()
		state := honest(t, invented(small, 2), small)
		change(state)
		gadgettest.Forged(t, name, system, state)
	}
	key := schnorr.Base.Multiply(secret(77))
	forge("a key replaced", func(s *State) { s.Rows[0].Key = key.Assign() })
	forge("an absentee's key replaced", func(s *State) { s.Rows[2].Key = key.Assign() })
	forge("padding with a key", func(s *State) { s.Rows[5].Key = key.Assign() })
	forge("rows swapped", func(s *State) { s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0] })
	forge("keys swapped", func(s *State) { s.Rows[2].Key, s.Rows[5].Key = s.Rows[5].Key, s.Rows[2].Key })
	forge("a stake raised", func(s *State) { s.Rows[0].Stake = 1000 })
	forge("an absentee's stake lowered", func(s *State) { s.Rows[2].Stake = 0 })
	forge("padding with a stake", func(s *State) { s.Rows[5].Stake = 1 })
	forge("stakes moved", func(s *State) { s.Rows[0].Stake, s.Rows[1].Stake = 11, 10 })
}

func TestForgedWeight(t *testing.T) {
	system := gadgettest.Compile(t, New(small))
	c := invented(small, 2)
	forge := func(name string, change func(*State)) {
		t.Helper()
		state := honest(t, c, small)
		change(state)
		gadgettest.Forged(t, name, system, state)
	}
	forge("an absentee's bit", func(s *State) { s.Rows[2].Signed = 1 })
	forge("an absentee's bit, a signer's taken", func(s *State) { s.Rows[2].Signed, s.Rows[3].Signed = 1, 0 })
	forge("a signer's bit taken", func(s *State) { s.Rows[0].Signed = 0 })
	forge("padding's bit", func(s *State) { s.Rows[5].Signed = 1 })
	forge("a bit of two", func(s *State) { s.Rows[0].Signed = 2 })
	forge("a negative bit", func(s *State) { s.Rows[2].Signed = -1 })
	forge("all bits negative", func(s *State) {
		for i := range s.Rows {
			s.Rows[i].Signed = -1
		}
	})

	// one below the threshold, and digits that are no bits
	c.Voting.Threshold.SetUint64(49)
	for _, digit := range []int{0, 1, 64, 126} {
		gadgettest.Forged(t, "below the threshold", system, c.assign(small), gadgettest.NoBits(t, 0, digit))
	}
	gadgettest.Forged(t, "below the threshold", system, c.assign(small))
	c.Voting.Threshold.SetUint64(1)
	gadgettest.Honest(t, system, c.assign(small))
	for _, digit := range []int{0, 5, 126} {
		gadgettest.Forged(t, "digits that are no bits", system, c.assign(small), gadgettest.NoBits(t, 0, digit))
	}
	// the most and one more than what may exceed the threshold
	most := new(big.Int).Lsh(big.NewInt(1), excessBits)
	c.Entries[0].Stake = most.Sub(most, big.NewInt(1+11+13+14-1))
	c.commit(small)
	gadgettest.Honest(t, system, c.assign(small))
	c.Entries[0].Stake = most.Add(most, big.NewInt(1))
	c.commit(small)
	gadgettest.Forged(t, "more than the circuit adds up", system, c.assign(small))
}

// weighed states the weight alone, so that bits can fail only there.
type weighed struct{ State }

func (c *weighed) Define(api frontend.API) error {
	c.assertWeight(api)
	return nil
}

func TestBitsAreBits(t *testing.T) {
	system := gadgettest.Compile(t, &weighed{*New(small)})
	c := invented(small, 2)
	gadgettest.Honest(t, system, &weighed{*honest(t, c, small)})
	for name, bits := range map[string][2]int64{"two": {2, 0}, "minus one and two": {2, -1}, "minus one": {1, -1}} {
		c.Voting.Threshold.SetUint64(1)
		state := c.assign(small)
		state.Rows[3].Signed, state.Rows[2].Signed = bits[0], bits[1]
		gadgettest.Forged(t, "a bit of "+name, system, &weighed{*state})
	}
}

// tables states the commitments alone.
type tables struct{ State }

func (c *tables) Define(api frontend.API) error { return c.assertTable(api, rescue.New(api)) }

func TestTablesAreBound(t *testing.T) {
	system := gadgettest.Compile(t, &tables{*New(small)})
	gadgettest.Lies(t, system, &tables{*honest(t, invented(small, 2), small)}, 24)
}

// Whoever proves knows the base point's secret, one, and forges what he can under the keys of others.
func TestForgedSignatures(t *testing.T) {
	system := gadgettest.Compile(t, New(small))
	forge := func(name string, change func(*Certificate)) {
		t.Helper()
		c := invented(small, 2)
		change(c)
		gadgettest.Forged(t, name, system, c.assign(small))
	}
	one := big.NewInt(1)
	forge("the base point's signature for an absentee", func(c *Certificate) { c.sign(2, one) })
	forge("another's signature", func(c *Certificate) { c.Signatures[0] = c.Signatures[1] })
	forge("one signature for two", func(c *Certificate) { c.Signatures[2] = c.Signatures[1] })
	forge("s", func(c *Certificate) { c.Signatures[1].S.Add(c.Signatures[1].S, one) })
	forge("R", func(c *Certificate) { c.Signatures[1].R = schnorr.Base })
	forge("R is neutral", func(c *Certificate) { c.Signatures[1].R = schnorr.Neutral() })
	forge("another view", func(c *Certificate) { c.View++ })
	forge("another height", func(c *Certificate) { c.Height++ })
	forge("another root", func(c *Certificate) { c.BlockCommRoot = fr.NewElement(1) })
	forge("another next table", func(c *Certificate) { c.Next = c.Voting })
	forge("another message, signed by one", func(c *Certificate) {
		c.View++
		c.sign(0, secret(0))
	})
	forge("another message, placeholders as before", func(c *Certificate) {
		c.Signatures = make([]*schnorr.Signature, 5)
		c.Voting.Threshold.SetZero()
		c.Signatures[0] = schnorr.Sign(one, one, c.Message())
	})
	forge("padding signs", func(c *Certificate) {
		c.Signatures = append(c.Signatures, schnorr.Sign(new(big.Int), one, c.Message()))
		if c.Signatures[5].R != schnorr.Base || len(c.Signatures) != small {
			t.Fatal("that is no signature under the neutral key")
		}
	})
	forge("a neutral key of the table signs", func(c *Certificate) {
		c.Entries[2].Key = schnorr.Neutral()
		c.commit(small)
		c.sign(2, new(big.Int))
	})
	forge("a key off the curve signs", func(c *Certificate) {
		c.Entries[2].Key = schnorr.Point{}
		c.commit(small)
		c.sign(2, new(big.Int))
	})

	// rows that have not signed need a signature too, under the base point
	state := honest(t, invented(small, 2), small)
	state.Rows[2].Signature = state.Rows[1].Signature
	gadgettest.Forged(t, "a row without its placeholder", system, state)
	// any key may stand in a row whose bit is not set
	c := invented(small, 2)
	c.Entries[2].Key = schnorr.Point{X: fr.NewElement(3), Y: fr.NewElement(4)}
	c.commit(small)
	gadgettest.Honest(t, system, honest(t, c, small))
}

func TestHintsAreBound(t *testing.T) {
	gadgettest.Lies(t, gadgettest.Compile(t, New(small)), honest(t, invented(small, 2), small), 12)
}

// TestRealCertificates solves the circuit at the network's capacity for recorded certificates, and for forgeries.
func TestRealCertificates(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles 840,000 constraints")
	}
	system := gadgettest.Compile(t, New(network))
	for _, epoch := range epochs {
		c, err := Parse(recorded(t, epoch))
		if err != nil {
			t.Fatal(err)
		}
		gadgettest.Honest(t, system, honest(t, c, network))
		for i, signature := range c.Signatures {
			if signature == nil && epoch == 3 {
				state := honest(t, c, network)
				state.Rows[i].Signed = 1
				gadgettest.Forged(t, "the absentee's bit", system, state)
				state.Rows[i].Signed = 0
				state.View = c.View + 1
				gadgettest.Forged(t, "another view", system, state)
			}
		}
	}
}
