// Package wtns reads and writes circom witnesses (.wtns) over BN254's scalar field.
//
// Layout (container: package binfile, version 2): section 1 holds u32 32, the modulus r (32 bytes) and u32
// count; section 2 holds count values of 32 bytes. Numbers are little-endian, values in normal form below r.
package wtns

import (
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/binfile"
	"provery/prover/fault"
	"provery/prover/msm"
)

// Parse reads a witness: signal values, the constant one first. Errors are of kind invalid_witness.
func Parse(data []byte) ([]msm.Scalar, error) {
	file, err := binfile.Parse(data, "wtns", 2, fault.InvalidWitness)
	if err != nil {
		return nil, err
	}
	header, err := file.Section(1, "header")
	if err != nil {
		return nil, err
	}
	if len(header) < 4 || binary.LittleEndian.Uint32(header) != 32 || len(header) != 40 {
		return nil, fault.New(fault.InvalidWitness, "the witness header has %d bytes, expected 40 with a field of 32 bytes (bn128)", len(header))
	}
	if r := number(header[4:]); r != modulus() {
		return nil, fault.New(fault.InvalidWitness, "the witness is over the field of order %x (least limb first), expected bn128's scalar field", r)
	}
	count := uint64(binary.LittleEndian.Uint32(header[36:]))
	values, err := file.Sized(2, "values", 32*count)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, fault.New(fault.InvalidWitness, "the witness is empty, expected at least the constant one")
	}
	witness := make([]msm.Scalar, count)
	for i := range witness {
		witness[i] = number(values[32*i:])
		if !msm.Canonical(witness[i]) {
			return nil, fault.New(fault.InvalidWitness, "value %d of the witness is not below the field's order", i)
		}
	}
	if witness[0] != (msm.Scalar{1}) {
		return nil, fault.New(fault.InvalidWitness, "value 0 of the witness is not one")
	}
	return witness, nil
}

// Encode returns the witness as the chunks of a .wtns file.
func Encode(witness []msm.Scalar) [][]byte {
	header := binary.LittleEndian.AppendUint32(nil, 32)
	for _, limb := range modulus() {
		header = binary.LittleEndian.AppendUint64(header, limb)
	}
	header = binary.LittleEndian.AppendUint32(header, uint32(len(witness)))
	values := make([]byte, 0, 32*len(witness))
	for _, value := range witness {
		for _, limb := range value {
			values = binary.LittleEndian.AppendUint64(values, limb)
		}
	}
	return binfile.Encode("wtns", 2, []binfile.Section{{ID: 1, Data: header}, {ID: 2, Data: values}})
}

func modulus() (n msm.Scalar) {
	for i, w := range fr.Modulus().Bits() {
		n[i] = uint64(w)
	}
	return
}

func number(b []byte) (n msm.Scalar) {
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return
}
