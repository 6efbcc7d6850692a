package circuit

import (
	"math"
	"math/big"
	"slices"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"

	"provery/prover/fault"
	"provery/prover/gadget/bls"
	"provery/prover/gadget/gadgettest"
)

// headerCircuit is Step without keys and signature.
type headerCircuit struct {
	Next, Header, Domain, Aggregate, Parent, BodyNode, Signing Node
	Branch                                                     []Node
	Slot, Proposer, Period                                     frontend.Variable
}

func (c *headerCircuit) Define(api frontend.API) error {
	step := &Step{NextRoot: c.Next, Period: c.Period, HeaderRoot: c.Header, Domain: c.Domain, Aggregate: c.Aggregate,
		Branch: c.Branch, Slot: c.Slot, Proposer: c.Proposer, Parent: c.Parent, BodyNode: c.BodyNode, periodBits: Presets[0].PeriodBits}
	root := step.assertHeader(api)
	for i, word := range root {
		half := c.Signing[i/4]
		digits := api.ToBinary(half, 128)
		for k, bit := range digits[96-32*(i%4) : 128-32*(i%4)] {
			api.AssertIsEqual(word[k], bit)
		}
	}
	return nil
}

func headerOf(t testing.TB, u *Update) *headerCircuit {
	t.Helper()
	o := &opened{Update: u}
	if err := o.checkBranches(); err != nil {
		t.Fatal(err)
	}
	c := &headerCircuit{Next: node(u.NextKeysRoot), Header: node(o.headerRoot), Domain: node(u.Domain), Aggregate: node(u.AggregateNode),
		Parent: node(u.ParentRoot), BodyNode: node(u.BodyNode), Signing: node(pair(o.headerRoot, u.Domain)),
		Slot: u.Slot, Proposer: u.Proposer, Period: u.Slot>>u.Preset.PeriodBits + 1}
	for _, sibling := range u.Branch {
		c.Branch = append(c.Branch, node(sibling))
	}
	return c
}

// plusOne changes a node's half, whatever it is.
func plusOne(n Node, half int) Node {
	n[half] = new(big.Int).Add(n[half].(*big.Int), big.NewInt(1))
	return n
}

// otherHalves carries one from the upper half into the lower: hi·2^128 + lo stays the same.
func otherHalves(n *Node) {
	one := big.NewInt(1)
	n[0] = new(big.Int).Sub(n[0].(*big.Int), one)
	n[1] = new(big.Int).Add(n[1].(*big.Int), one.Lsh(one, 128))
}

func TestHeader(t *testing.T) {
	for _, depth := range Depths {
		u := invented(t, Shape{Presets[0], depth})
		u.NextKeysRoot[20], u.Domain[20] = 7, 9
		system := gadgettest.Compile(t, &headerCircuit{Branch: make([]Node, depth)})
		gadgettest.Honest(t, system, headerOf(t, u))
		forge := func(name string, change func(*headerCircuit)) {
			c := headerOf(t, u)
			change(c)
			gadgettest.Forged(t, name, system, c)
		}
		for level := range depth {
			forge("branch", func(c *headerCircuit) { c.Branch[level] = plusOne(c.Branch[level], 1) })
		}
		if depth == Depths[0] {
			continue // the rest does not depend on it
		}
		gadgettest.Lies(t, system, headerOf(t, u), 6)
		for half := range 2 {
			forge("next root", func(c *headerCircuit) { c.Next = plusOne(c.Next, half) })
			forge("header root", func(c *headerCircuit) { c.Header = plusOne(c.Header, half) })
			forge("domain", func(c *headerCircuit) { c.Domain = plusOne(c.Domain, half) })
			forge("signing root", func(c *headerCircuit) { c.Signing = plusOne(c.Signing, half) })
		}
		forge("aggregate", func(c *headerCircuit) { c.Aggregate = plusOne(c.Aggregate, 1) })
		forge("parent", func(c *headerCircuit) { c.Parent = plusOne(c.Parent, 0) })
		forge("body", func(c *headerCircuit) { c.BodyNode = plusOne(c.BodyNode, 0) })
		forge("proposer", func(c *headerCircuit) { c.Proposer = u.Proposer + 1 })
		forge("slot", func(c *headerCircuit) { c.Slot = u.Slot + 1 })
		forge("slot and period", func(c *headerCircuit) { c.Slot = u.Slot + 64; c.Period = u.Slot>>6 + 2 })
		forge("period before", func(c *headerCircuit) { c.Period = u.Slot >> 6 })
		forge("period after", func(c *headerCircuit) { c.Period = u.Slot>>6 + 2 })
		// numbers whose low bits are the honest ones, and a period that agrees with all of the slot's
		beyond := new(big.Int).Lsh(big.NewInt(1), 64)
		forge("slot beyond 64 bits", func(c *headerCircuit) {
			slot := new(big.Int).Add(beyond, new(big.Int).SetUint64(u.Slot))
			c.Slot, c.Period = slot, new(big.Int).Add(new(big.Int).Rsh(slot, 6), big.NewInt(1))
		})
		forge("proposer beyond 64 bits", func(c *headerCircuit) {
			c.Proposer = new(big.Int).Add(beyond, new(big.Int).SetUint64(u.Proposer))
		})
		for name, part := range map[string]func(*headerCircuit) *Node{
			"next root":   func(c *headerCircuit) *Node { return &c.Next },
			"header root": func(c *headerCircuit) *Node { return &c.Header },
			"domain":      func(c *headerCircuit) *Node { return &c.Domain },
			"branch":      func(c *headerCircuit) *Node { return &c.Branch[3] },
		} {
			forge("the same "+name+" in other halves", func(c *headerCircuit) { otherHalves(part(c)) })
			for half := range 2 {
				forge(name+" with a half beyond 128 bits", func(c *headerCircuit) {
					n := part(c)
					n[half] = new(big.Int).Add(n[half].(*big.Int), new(big.Int).Lsh(big.NewInt(1), 128))
				})
			}
		}
		forge("order of the branch", func(c *headerCircuit) { c.Branch[0], c.Branch[1] = c.Branch[1], c.Branch[0] })
	}
}

// A state of 37 fields has 64 leaves. Generalised index 55, where 32 leaves have the next committee, is there the parent
// of two leaves that no field fills: what the shorter branch finds is a committee whose two roots are zero.
func TestNoCommitteeIsNone(t *testing.T) {
	u := invented(t, Shape{Presets[0], 5})
	u.NextKeysRoot, u.AggregateNode = Root{}, Root{}
	u.Branch[0] = pair(Root{}, Root{}) // leaves 44 and 45 are not filled either
	sign(t, u)
	system := gadgettest.Compile(t, &headerCircuit{Branch: make([]Node, 5)})
	gadgettest.Forged(t, "the absent fields of a larger state as committee", system, headerOf(t, u))
	wantKind(t, "no committee", Check(u), fault.InvalidWitness)
}

type digitsCircuit struct{ Number frontend.Variable }

func (c *digitsCircuit) Define(api frontend.API) error {
	digits(api, c.Number)
	return nil
}

// Of a number of the right value whose digits are no bits, the hash would be that of no header, but the circuit's.
func TestDigitsAreBits(t *testing.T) {
	system := gadgettest.Compile(t, &digitsCircuit{})
	greatest := new(big.Int).SetUint64(math.MaxUint64)
	gadgettest.Honest(t, system, &digitsCircuit{greatest})
	gadgettest.Forged(t, "65 bits", system, &digitsCircuit{greatest.Add(greatest, big.NewInt(1))})
	gadgettest.Forged(t, "a negative number", system, &digitsCircuit{-1})
	for _, digit := range []int{0, 5, 6, 62} {
		gadgettest.Forged(t, "digits that are no bits", system, &digitsCircuit{1 << 40}, gadgettest.NoBits(t, 0, digit))
	}
}

type participationCircuit struct{ Bits []frontend.Variable }

func (c *participationCircuit) Define(api frontend.API) error {
	assertParticipation(api, c.Bits)
	return nil
}

func TestParticipation(t *testing.T) {
	for _, preset := range Presets {
		n := preset.Committee
		system := gadgettest.Compile(t, &participationCircuit{make([]frontend.Variable, n)})
		with := func(signers int) *participationCircuit {
			c := &participationCircuit{make([]frontend.Variable, n)}
			for i := range n {
				c.Bits[i] = 0
				if i < signers {
					c.Bits[i] = 1
				}
			}
			return c
		}
		least := (2*n + 2) / 3
		gadgettest.Honest(t, system, with(n))
		gadgettest.Honest(t, system, with(least))
		gadgettest.Lies(t, system, with(least), 8)
		gadgettest.Forged(t, "one below two thirds", system, with(least-1))
		gadgettest.Forged(t, "nobody", system, with(0))
		all := with(0)
		for i := range n {
			all.Bits[i] = -1
		}
		gadgettest.Forged(t, "all bits negative", system, all)
		heavy := with(least - 1)
		heavy.Bits[0] = 2
		gadgettest.Forged(t, "a bit of two", system, heavy)
		heavy.Bits[0], heavy.Bits[1] = -1, 3
		gadgettest.Forged(t, "a negative bit", system, heavy)
	}
}

// TestStep solves the whole circuit for a recorded update of a real chain, and for forgeries of it.
func TestStep(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles 1.7 million constraints")
	}
	u := recorded(t)
	system := gadgettest.Compile(t, u.Shape().Circuit())
	honest := func() *Step {
		step, _, err := Assign(u)
		if err != nil {
			t.Fatal(err)
		}
		return step
	}
	gadgettest.Honest(t, system, honest())
	forge := func(name string, change func(*Step)) {
		step := honest()
		change(step)
		gadgettest.Forged(t, name, system, step)
	}
	o, err := open(u)
	if err != nil {
		t.Fatal(err)
	}
	forge("commitment", func(s *Step) { s.Commitment = 1 })
	forge("next root", func(s *Step) { s.NextRoot = plusOne(s.NextRoot, 0) })
	forge("period", func(s *Step) { s.Period = 3 })
	forge("header root", func(s *Step) { s.HeaderRoot = plusOne(s.HeaderRoot, 1) })
	forge("another message: domain", func(s *Step) { s.Domain = plusOne(s.Domain, 1) })
	forge("bit", func(s *Step) { s.Bits[5] = 0 })
	forge("keys swapped", func(s *Step) { s.Keys[0], s.Keys[1] = s.Keys[1], s.Keys[0] })
	forge("key replaced, with its commitment", func(s *Step) {
		keys := slices.Clone(o.keys)
		keys[4] = keys[5]
		s.Keys[4], s.Commitment = s.Keys[5], bls.Commitment(keys)
	})
	forge("signature negated", func(s *Step) {
		var minus bls12381.G2Affine
		s.Signature = sw_bls12381.NewG2Affine(*minus.Neg(&o.signature))
	})
	forge("signature not in the subgroup", func(s *Step) { s.Signature = sw_bls12381.NewG2Affine(outside(t)) })
	forge("infinite signature", func(s *Step) { s.Signature = sw_bls12381.NewG2Affine(bls12381.G2Affine{}) })

	gadgettest.Lies(t, system, honest(), 2)

	// a committee of which some have not signed
	part := invented(t, u.Shape(), 0, 9, 31)
	if o, err = open(part); err != nil {
		t.Fatal(err)
	}
	honest = func() *Step {
		step, _, err := Assign(part)
		if err != nil {
			t.Fatal(err)
		}
		return step
	}
	gadgettest.Honest(t, system, honest())
	forge("a bit set for who has not signed", func(s *Step) { s.Bits[9] = 1 })
	forge("a bit moved", func(s *Step) { s.Bits[9], s.Bits[10] = 1, 0 })
	forge("signer and absentee swapped, with their commitment", func(s *Step) {
		keys := slices.Clone(o.keys)
		keys[9], keys[10] = keys[10], keys[9]
		s.Keys[9], s.Keys[10], s.Commitment = s.Keys[10], s.Keys[9], bls.Commitment(keys)
	})
	forge("an absentee that is infinity, with its commitment", func(s *Step) {
		keys := slices.Clone(o.keys)
		keys[9] = bls12381.G1Affine{}
		s.Keys[9], s.Commitment = sw_bls12381.NewG1Affine(keys[9]), bls.Commitment(keys)
	})
}
