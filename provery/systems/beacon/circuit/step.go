package circuit

import (
	"math/bits"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	stdbits "github.com/consensys/gnark/std/math/bits"

	"provery/prover/gadget/bls"
	"provery/prover/gadget/merkle"
	"provery/prover/gadget/sha256"
)

// Node is 32 bytes as two numbers of 128 bits, big-endian, the more significant first.
type Node = [2]frontend.Variable

// Step states that a sync committee has signed the next one.
//
// Statement: Keys open Commitment; at least two thirds of them, those whose bit is set, have signed (BLS12-381, keys
// in G1) the signing root SHA-256(HeaderRoot ‖ Domain); HeaderRoot is the root of a header whose slot lies in the
// period before Period, and whose state holds, as the next sync committee, one whose keys have the SSZ root NextRoot.
//
// The verifier must check what the circuit takes as given: that Commitment is the commitment to the committee it
// trusts for the period before (its keys being members of G1), and that Domain is the sync committee's domain of the
// header's fork on its chain.
//
// Cost: bench/results/circuits.json.
// Source: the consensus specifications, altair/light-client/sync-protocol.md, validate_light_client_update. Neither
// finality nor the signature's slot is part of the statement.
type Step struct {
	Commitment frontend.Variable `gnark:",public"`
	NextRoot   Node              `gnark:",public"`
	Period     frontend.Variable `gnark:",public"`
	HeaderRoot Node              `gnark:",public"`
	Domain     Node              `gnark:",public"`

	// Keys are the signing committee's, decompressed; Bits say who signed.
	Keys      []sw_bls12381.G1Affine
	Bits      []frontend.Variable
	Signature sw_bls12381.G2Affine

	// Aggregate is the leaf beside the keys: the root of the next committee's aggregate key.
	Aggregate Node
	// Branch leads from the next committee to the state root, the lowest node first.
	Branch []Node
	// Slot and Proposer are the header's first two fields.
	Slot, Proposer frontend.Variable
	Parent         Node
	// BodyNode is the upper right of the header's tree: SHA-256(SHA-256(body root ‖ 0) ‖ SHA-256(0 ‖ 0)).
	BodyNode Node

	periodBits int
}

// Define states it all, from the leaves up.
func (c *Step) Define(api frontend.API) error {
	commitment, err := bls.Commit(api, c.Keys)
	if err != nil {
		return err
	}
	api.AssertIsEqual(commitment, c.Commitment)
	assertParticipation(api, c.Bits)
	signingRoot := c.assertHeader(api)
	return c.assertSigned(api, signingRoot)
}

// assertParticipation states that bits are boolean and at least two thirds of them set. Cost: one a bit.
func assertParticipation(api frontend.API, participants []frontend.Variable) {
	var count frontend.Variable = 0
	for _, bit := range participants {
		api.AssertIsBoolean(bit)
		count = api.Add(count, bit)
	}
	// 3·count − 2·n lies between 0 and n, or is negative and has no such digits
	n := len(participants)
	excess := api.Sub(api.Mul(3, count), 2*n)
	stdbits.ToBinary(api, excess, stdbits.WithNbDigits(bits.Len(uint(n))))
}

// assertHeader states the branches from NextRoot to HeaderRoot and the period, and returns the signing root. Cost:
// one SHA-256 for each of 6 nodes and of the branch.
func (c *Step) assertHeader(api frontend.API) sha256.Digest {
	// in a state with more fields than the branch is for, the two roots may be fields that are not there, zero; no
	// keys have a root that starts with 16 zero bytes
	api.AssertIsDifferent(c.NextRoot[0], 0)
	h := sha256.New(api)
	branch := []sha256.Digest{h.Bits(c.Aggregate)}
	for _, node := range c.Branch {
		branch = append(branch, h.Bits(node))
	}
	// the keys are the committee's first field
	state := merkle.Fold(h, h.Bits(c.NextRoot), committeeField<<1, branch)

	slot, proposer := digits(api, c.Slot), digits(api, c.Proposer)
	api.AssertIsEqual(api.Add(stdbits.FromBinary(api, slot[c.periodBits:]), 1), c.Period)

	// the state root is the fourth of the header's five fields
	first := h.Pair(littleEndian(slot), littleEndian(proposer))
	header := merkle.Fold(h, state, 3, []sha256.Digest{h.Bits(c.Parent), first, h.Bits(c.BodyNode)})
	root := h.Halves(header)
	api.AssertIsEqual(root[0], c.HeaderRoot[0])
	api.AssertIsEqual(root[1], c.HeaderRoot[1])
	return h.Pair(header, h.Bits(c.Domain))
}

// assertSigned states that the keys whose bit is set have signed.
func (c *Step) assertSigned(api frontend.API, signingRoot sha256.Digest) error {
	key, err := bls.Sum(api, c.Keys, c.Bits)
	if err != nil {
		return err
	}
	message, err := bls.HashToG2(api, signingRoot)
	if err != nil {
		return err
	}
	return bls.Verify(api, key, message, &c.Signature)
}

// digits returns the 64 bits of a number, the lowest first.
func digits(api frontend.API, number frontend.Variable) []frontend.Variable {
	return stdbits.ToBinary(api, number, stdbits.WithNbDigits(64))
}

// littleEndian returns the SSZ leaf of a number of 64 bits, given from its lowest bit.
func littleEndian(digits []frontend.Variable) sha256.Digest {
	bytes := sha256.Constant(make([]byte, 32))
	for i := range 8 {
		bytes[i] = sha256.Byte(digits[8*i : 8*i+8])
	}
	return sha256.FromBytes(bytes)
}
