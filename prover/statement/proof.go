package statement

import (
	"github.com/consensys/gnark-crypto/ecc/bn254"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"provery/prover/fault"
)

// A proof's file is what an EVM verifier takes: A, B, C, and where the circuit commits to values the commitments and
// their proof of knowledge, as big-endian coordinates of 32 bytes, those of G2 with the imaginary part first. There is one such form of a proof: coordinates
// are below the modulus, and no point is at infinity.
const (
	g1Bytes = bn254.SizeOfG1AffineUncompressed
	g2Bytes = bn254.SizeOfG2AffineUncompressed
	// flagBits of a point's first byte mark, in gnark-crypto's encoding, compressed points and infinity.
	flagBits = 0b11 << 6
)

func encodeProof(proof *groth16.Proof) []byte {
	a, b, c := proof.Ar.RawBytes(), proof.Bs.RawBytes(), proof.Krs.RawBytes()
	out := append(append(a[:], b[:]...), c[:]...)
	if len(proof.Commitments) == 0 {
		return out
	}
	for _, point := range append(proof.Commitments[:len(proof.Commitments):len(proof.Commitments)], proof.CommitmentPok) {
		raw := point.RawBytes()
		out = append(out, raw[:]...)
	}
	return out
}

// decodeProof reads a proof for a key with so many commitments. It reads points at fixed places rather than a stream:
// a stream that a stranger wrote says itself how much memory to take. Points are checked to be in their groups.
func decodeProof(file []byte, commitments int) (*groth16.Proof, error) {
	want := 2*g1Bytes + g2Bytes
	if commitments > 0 {
		want += (commitments + 1) * g1Bytes
	}
	if len(file) != want {
		return nil, fault.New(fault.InvalidProof, "proof has %d bytes, expected %d", len(file), want)
	}
	proof := &groth16.Proof{Commitments: make([]bn254.G1Affine, commitments)}
	type point interface {
		SetBytes([]byte) (int, error)
		IsInfinity() bool
	}
	at := 0
	read := func(into point, size int) error {
		part := file[at : at+size]
		at += size
		if part[0]&flagBits != 0 {
			return fault.New(fault.InvalidProof, "proof is malformed at byte %d: not a finite point in full", at-size)
		}
		if _, err := into.SetBytes(part); err != nil {
			return fault.New(fault.InvalidProof, "proof is malformed at byte %d: %s", at-size, fault.Shorten(err.Error(), 100))
		}
		if into.IsInfinity() {
			return fault.New(fault.InvalidProof, "proof is malformed at byte %d: infinity", at-size)
		}
		return nil
	}
	for _, one := range []struct {
		into point
		size int
	}{{&proof.Ar, g1Bytes}, {&proof.Bs, g2Bytes}, {&proof.Krs, g1Bytes}} {
		if err := read(one.into, one.size); err != nil {
			return nil, err
		}
	}
	for i := range proof.Commitments {
		if err := read(&proof.Commitments[i], g1Bytes); err != nil {
			return nil, err
		}
	}
	if commitments == 0 {
		return proof, nil
	}
	return proof, read(&proof.CommitmentPok, g1Bytes)
}
