package circuit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"

	"provery/prover/fault"
	"provery/prover/gadget/bls"
)

// domainType is DOMAIN_SYNC_COMMITTEE.
var domainType = [4]byte{7}

// opened is an update whose points are decompressed and whose statement was found true.
type opened struct {
	*Update
	keys       []bls12381.G1Affine
	signature  bls12381.G2Affine
	headerRoot Root
}

// Check tells whether the statement is true of u, in milliseconds and without a circuit.
func Check(u *Update) error {
	_, err := open(u)
	return err
}

// open checks everything that the circuit states, and what its verifier relies on besides: keys in the subgroup and a
// domain of the right type.
func open(u *Update) (*opened, error) {
	if err := checkForm(u); err != nil {
		return nil, err
	}
	o := &opened{Update: u}
	if err := o.checkBranches(); err != nil {
		return nil, err
	}
	if err := o.decompress(); err != nil {
		return nil, err
	}
	return o, o.checkSignature()
}

func checkForm(u *Update) error {
	n := u.Preset.Committee
	if len(u.Keys) != n || len(u.Participation) != n {
		return fault.New(fault.InvalidInput, "%d keys and %d participation bits, the preset %s has %d", len(u.Keys), len(u.Participation), u.Preset.Name, n)
	}
	if depth := len(u.Branch); depth != Depths[0] && depth != Depths[1] {
		return fault.New(fault.InvalidInput, "the next committee's branch has %d nodes, expected 5 (Altair to Deneb) or 6 (from Electra)", depth)
	}
	if [4]byte(u.Domain[:4]) != domainType {
		return fault.New(fault.InvalidInput, "domain starts with 0x%x, expected 0x%x (sync committee)", u.Domain[:4], domainType)
	}
	if [16]byte(u.NextKeysRoot[:16]) == ([16]byte{}) {
		return fault.New(fault.InvalidWitness, "the next committee's keys have root 0x%x, expected one of keys", u.NextKeysRoot)
	}
	signers := 0
	for _, signed := range u.Participation {
		if signed {
			signers++
		}
	}
	if 3*signers < 2*n {
		return fault.New(fault.InvalidWitness, "%d of %d keys signed, expected at least %d", signers, n, (2*n+2)/3)
	}
	return nil
}

func (o *opened) checkBranches() error {
	state := fold(o.NextKeysRoot, committeeField<<1, append([]Root{o.AggregateNode}, o.Branch...))
	if o.StateRoot != (Root{}) && state != o.StateRoot {
		return fault.New(fault.InvalidWitness, "the next committee's branch gives state root 0x%x, the header has 0x%x", state, o.StateRoot)
	}
	o.headerRoot = fold(state, 3, []Root{o.ParentRoot, pair(numberRoot(o.Slot), numberRoot(o.Proposer)), o.BodyNode})
	if o.HeaderRoot != (Root{}) && o.headerRoot != o.HeaderRoot {
		return fault.New(fault.InvalidWitness, "the header's root is 0x%x, expected 0x%x", o.headerRoot, o.HeaderRoot)
	}
	return nil
}

func (o *opened) decompress() error {
	o.keys = make([]bls12381.G1Affine, len(o.Keys))
	for i, key := range o.Keys {
		if _, err := o.keys[i].SetBytes(key[:]); err != nil {
			return fault.New(fault.InvalidInput, "key %d, 0x%s…, is not a point of G1: %v", i, hex.EncodeToString(key[:8]), err)
		}
		if o.keys[i].IsInfinity() {
			return fault.New(fault.InvalidInput, "key %d is infinity", i)
		}
	}
	if _, err := o.signature.SetBytes(o.Signature[:]); err != nil {
		return fault.New(fault.InvalidInput, "signature 0x%s… is not a point of G2: %v", hex.EncodeToString(o.Signature[:8]), err)
	}
	return nil
}

func (o *opened) checkSignature() error {
	var sum bls12381.G1Affine
	for i := range o.keys {
		if o.Participation[i] {
			sum.Add(&sum, &o.keys[i])
		}
	}
	if sum.IsInfinity() {
		return fault.New(fault.InvalidWitness, "the signers' keys add up to infinity")
	}
	root := pair(o.headerRoot, o.Domain)
	message, err := bls12381.HashToG2(root[:], []byte(bls.SignatureDST))
	if err != nil {
		return err
	}
	_, _, generator, _ := bls12381.Generators()
	generator.Neg(&generator)
	valid, err := bls12381.PairingCheck([]bls12381.G1Affine{generator, sum}, []bls12381.G2Affine{o.signature, message})
	if err != nil {
		return err
	}
	if !valid {
		return fault.New(fault.InvalidWitness, "the signature does not fit signing root 0x%x under the signers' keys", root)
	}
	return nil
}

// KeysRoot is the SSZ root of a vector of keys, whose number is a power of two.
func KeysRoot(keys []Key) Root {
	level := make([]Root, len(keys))
	for i, key := range keys {
		level[i] = keyRoot(key)
	}
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = pair(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

// keyRoot is the root of 48 bytes in two leaves.
func keyRoot(key Key) Root {
	var right Root
	copy(right[:], key[32:])
	return pair(Root(key[:32]), right)
}

func numberRoot(n uint64) (leaf Root) {
	binary.LittleEndian.PutUint64(leaf[:], n)
	return leaf
}

func pair(left, right Root) Root { return sha256.Sum256(append(left[:], right[:]...)) }

func fold(node Root, index uint64, branch []Root) Root {
	for _, sibling := range branch {
		if index&1 == 1 {
			node = pair(sibling, node)
		} else {
			node = pair(node, sibling)
		}
		index >>= 1
	}
	return node
}
