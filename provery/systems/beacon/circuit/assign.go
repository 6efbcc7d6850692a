package circuit

import (
	"encoding/binary"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"

	"provery/prover/gadget/bls"
)

// Public are the values that a proof is about.
type Public struct {
	Commitment fr.Element
	NextRoot   Root
	// Period is the next committee's: one more than that of the header's slot.
	Period             uint64
	HeaderRoot, Domain Root
}

// Assign checks u and returns its witness.
func Assign(u *Update) (*Step, *Public, error) {
	o, err := open(u)
	if err != nil {
		return nil, nil, err
	}
	public := &Public{bls.Commitment(o.keys), o.NextKeysRoot, o.Slot>>u.Preset.PeriodBits + 1, o.headerRoot, o.Domain}
	step := public.Assign()
	step.Signature = sw_bls12381.NewG2Affine(o.signature)
	step.Aggregate, step.Parent, step.BodyNode = node(o.AggregateNode), node(o.ParentRoot), node(o.BodyNode)
	step.Slot, step.Proposer = o.Slot, o.Proposer
	for _, sibling := range o.Branch {
		step.Branch = append(step.Branch, node(sibling))
	}
	for i, key := range o.keys {
		step.Keys = append(step.Keys, sw_bls12381.NewG1Affine(key))
		bit := 0
		if o.Participation[i] {
			bit = 1
		}
		step.Bits = append(step.Bits, bit)
	}
	return step, public, nil
}

// Assign returns a circuit with the public values only, as a verifier needs it.
func (p *Public) Assign() *Step {
	return &Step{Commitment: p.Commitment, NextRoot: node(p.NextRoot), Period: p.Period, HeaderRoot: node(p.HeaderRoot), Domain: node(p.Domain)}
}

// Bytes are the public values as 136 bytes: commitment, next root, period in eight bytes little-endian, header root,
// domain. The layout is that of the original's public values, with the commitment in place of the current root.
func (p *Public) Bytes() []byte {
	commitment := p.Commitment.Bytes()
	out := append(commitment[:], p.NextRoot[:]...)
	out = binary.LittleEndian.AppendUint64(out, p.Period)
	return append(append(out, p.HeaderRoot[:]...), p.Domain[:]...)
}

func node(root Root) Node {
	return [2]frontend.Variable{new(big.Int).SetBytes(root[:16]), new(big.Int).SetBytes(root[16:])}
}
