package statement

import (
	"bytes"
	"encoding/binary"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"provery/prover/fault"
)

// A proof's file is what an EVM verifier takes: A, B, C, the commitments and their proof of knowledge, as big-endian
// coordinates of 32 bytes, those of G2 with the imaginary part first. There is one such form of a proof.
const (
	pointBytes = 64
	// headBytes are A, B and C.
	headBytes = 4 * pointBytes
)

func encodeProof(proof *groth16.Proof) ([]byte, error) {
	var raw bytes.Buffer
	if _, err := proof.WriteRawTo(&raw); err != nil {
		return nil, err
	}
	// gnark's form has the number of commitments before them
	return append(raw.Bytes()[:headBytes:headBytes], raw.Bytes()[headBytes+4:]...), nil
}

// decodeProof reads a proof for a key with so many commitments. Points are on their curves and in their subgroups.
func decodeProof(file []byte, commitments int) (*groth16.Proof, error) {
	if want := headBytes + (commitments+1)*pointBytes; len(file) != want {
		return nil, fault.New(fault.InvalidProof, "proof has %d bytes, expected %d", len(file), want)
	}
	raw := append([]byte(nil), file[:headBytes]...)
	raw = append(binary.BigEndian.AppendUint32(raw, uint32(commitments)), file[headBytes:]...)
	proof := new(groth16.Proof)
	if _, err := proof.ReadFrom(bytes.NewReader(raw)); err != nil {
		return nil, fault.New(fault.InvalidProof, "proof is malformed: %s", fault.Shorten(err.Error(), 200))
	}
	again, err := encodeProof(proof)
	if err != nil || !bytes.Equal(again, file) {
		return nil, fault.New(fault.InvalidProof, "proof is not in its only valid form")
	}
	return proof, nil
}
