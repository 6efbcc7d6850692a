// Package r1cs reads circom constraint systems (.r1cs) over BN254's scalar field.
//
// Layout (container: package binfile, version 1): section 1 holds u32 32, the modulus r (32 bytes), u32
// nWires, u32 nPubOut, u32 nPubIn, u32 nPrvIn, u64 nLabels, u32 nConstraints; section 2 holds per constraint
// the linear combinations A, B, C, each u32 count and then u32 wire, value (32 bytes, normal form). Numbers
// are little-endian. Wires are ordered: one, public outputs, public inputs, the rest.
package r1cs

import (
	"encoding/binary"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/binfile"
	"provery/prover/fault"
	"provery/prover/msm"
)

const (
	headerBytes = 64
	termBytes   = 36
)

// Term is one coefficient times one wire.
type Term struct {
	Wire  uint32
	Value fr.Element
}

// System is a rank-1 constraint system: A·w times B·w equals C·w for each constraint.
type System struct {
	// NWires includes the constant one; NPublic counts outputs and public inputs without it.
	NWires, NPublic int
	Constraints     [][3][]Term
}

// Parse reads a constraint system. Errors are of kind invalid_key, since a key is made from it.
func Parse(data []byte) (*System, error) {
	file, err := binfile.Parse(data, "r1cs", 1, fault.InvalidKey)
	if err != nil {
		return nil, err
	}
	header, err := file.Section(1, "header")
	if err != nil {
		return nil, err
	}
	if len(header) != headerBytes || binary.LittleEndian.Uint32(header) != 32 {
		return nil, fault.New(fault.InvalidKey, "the r1cs header has %d bytes, expected %d with a field of 32 bytes (bn128)", len(header), headerBytes)
	}
	var order msm.Scalar
	for i, w := range fr.Modulus().Bits() {
		order[i] = uint64(w)
	}
	if number(header[4:]) != order {
		return nil, fault.New(fault.InvalidKey, "the constraint system is not over bn128's scalar field")
	}
	u32 := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(header[at:])) }
	wires, public, count := u32(36), u32(40)+u32(44), u32(60)
	if wires == 0 || public >= wires {
		return nil, fault.New(fault.InvalidKey, "the constraint system has %d wires of which %d public", wires, public)
	}
	body, err := file.Section(2, "constraints")
	if err != nil {
		return nil, err
	}
	if count*12 > uint64(len(body)) {
		return nil, fault.New(fault.InvalidKey, "%d bytes cannot hold %d constraints", len(body), count)
	}
	system := &System{NWires: int(wires), NPublic: int(public), Constraints: make([][3][]Term, count)}
	for i := range system.Constraints {
		for m := range 3 {
			var terms []Term
			if terms, body, err = readTerms(body, wires); err != nil {
				return nil, fault.New(fault.InvalidKey, "constraint %d: %v", i, err)
			}
			system.Constraints[i][m] = terms
		}
	}
	if len(body) != 0 {
		return nil, fault.New(fault.InvalidKey, "the constraint section has %d bytes after its last constraint", len(body))
	}
	return system, nil
}

func readTerms(body []byte, wires uint64) ([]Term, []byte, error) {
	if len(body) < 4 {
		return nil, nil, fault.New(fault.InvalidKey, "truncated")
	}
	count := uint64(binary.LittleEndian.Uint32(body))
	body = body[4:]
	if count*termBytes > uint64(len(body)) {
		return nil, nil, fault.New(fault.InvalidKey, "claims %d terms, %d bytes are left", count, len(body))
	}
	terms := make([]Term, count)
	for i := range terms {
		wire := binary.LittleEndian.Uint32(body)
		value := number(body[4:])
		if uint64(wire) >= wires || !msm.Canonical(value) {
			return nil, nil, fault.New(fault.InvalidKey, "term %d is out of range", i)
		}
		terms[i] = Term{wire, FromNormal(value)}
		body = body[termBytes:]
	}
	return terms, body, nil
}

// FromNormal converts normal form to a field element.
func FromNormal(value msm.Scalar) fr.Element {
	var bytes [32]byte
	for i, limb := range value {
		binary.BigEndian.PutUint64(bytes[24-8*i:], limb)
	}
	var element fr.Element
	element.SetBytes(bytes[:])
	return element
}

func number(b []byte) (n msm.Scalar) {
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return
}

// Check evaluates every constraint on the witness. The error, of kind invalid_witness, names the first one
// that is violated and the wires it mentions.
func (s *System) Check(witness []msm.Scalar) error {
	if len(witness) != s.NWires {
		return fault.New(fault.InvalidWitness, "the witness has %d values, the constraint system %d wires", len(witness), s.NWires)
	}
	values := make([]fr.Element, len(witness))
	for i := range values {
		values[i] = FromNormal(witness[i])
	}
	for i := range s.Constraints {
		var sums [3]fr.Element
		for m, terms := range s.Constraints[i] {
			for _, t := range terms {
				var product fr.Element
				product.Mul(&t.Value, &values[t.Wire])
				sums[m].Add(&sums[m], &product)
			}
		}
		sums[0].Mul(&sums[0], &sums[1])
		if !sums[0].Equal(&sums[2]) {
			return fault.New(fault.InvalidWitness, "constraint %d of %d is violated: A·B is %s, C is %s (wires %v)", i,
				len(s.Constraints), fault.Shorten(sums[0].String(), 24), fault.Shorten(sums[2].String(), 24), s.wires(i))
		}
	}
	return nil
}

// wires lists up to eight wires of constraint i, in order.
func (s *System) wires(i int) []uint32 {
	var wires []uint32
	for _, terms := range s.Constraints[i] {
		for _, t := range terms {
			wires = append(wires, t.Wire)
		}
	}
	slices.Sort(wires)
	wires = slices.Compact(wires)
	return wires[:min(len(wires), 8)]
}
