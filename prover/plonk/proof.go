package plonk

import (
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	"github.com/consensys/gnark/backend/solidity"

	"provery/prover/fault"
)

// A proof's file is what an EVM verifier takes, gnark's MarshalSolidity: points as big-endian coordinates of 32 bytes,
// field elements as 32 big-endian bytes. In order: the commitments to l, r, o and h₁, h₂, h₃; l, r, o, s₁, s₂ at ζ; the
// commitment to z; z at ωζ; the openings at ζ and at ωζ; and where the circuit commits to values the selectors of the
// commitments at ζ and then the commitments. There is one such form of a proof: values are below their modulus, and no
// point is at infinity.
const (
	pointBytes = bn254.SizeOfG1AffineUncompressed
	// flagBits of a point's first byte mark, in gnark-crypto's encoding, compressed points and infinity.
	flagBits = 0b11 << 6
	// fixedBytes is a proof's length without commitments.
	fixedBytes = 9*pointBytes + 6*fr.Bytes
)

// EncodeProof returns a proof's one form.
func EncodeProof(proof *gnark.Proof) []byte { return proof.MarshalSolidity() }

// DecodeProof reads a proof for a key with so many commitments. The value that the linearised polynomial takes is not
// in it; Verify derives it.
func DecodeProof(file []byte, commitments int) (*gnark.Proof, error) {
	if want := fixedBytes + commitments*(pointBytes+fr.Bytes); len(file) != want {
		return nil, fault.New(fault.InvalidProof, "proof has %d bytes, expected %d", len(file), want)
	}
	proof := new(gnark.Proof)
	proof.Bsb22Commitments = make([]bn254.G1Affine, commitments)
	proof.BatchedProof.ClaimedValues = make([]fr.Element, 6+commitments)
	claimed := proof.BatchedProof.ClaimedValues
	parts := []any{&proof.LRO[0], &proof.LRO[1], &proof.LRO[2], &proof.H[0], &proof.H[1], &proof.H[2],
		&claimed[1], &claimed[2], &claimed[3], &claimed[4], &claimed[5], &proof.Z, &proof.ZShiftedOpening.ClaimedValue,
		&proof.BatchedProof.H, &proof.ZShiftedOpening.H}
	for i := range commitments {
		parts = append(parts, &claimed[6+i])
	}
	for i := range commitments {
		parts = append(parts, &proof.Bsb22Commitments[i])
	}
	at := 0
	for _, part := range parts {
		malformed := func(why string) error {
			return fault.New(fault.InvalidProof, "proof is malformed at byte %d: %s", at, fault.Shorten(why, 100))
		}
		switch into := part.(type) {
		case *fr.Element:
			if err := into.SetBytesCanonical(file[at : at+fr.Bytes]); err != nil {
				return nil, malformed(err.Error())
			}
			at += fr.Bytes
		case *bn254.G1Affine:
			text := file[at : at+pointBytes]
			if text[0]&flagBits != 0 {
				return nil, malformed("not a finite point in full")
			}
			// checks that the point is on the curve, which has no subgroups
			if _, err := into.SetBytes(text); err != nil {
				return nil, malformed(err.Error())
			}
			if into.IsInfinity() {
				return nil, malformed("infinity")
			}
			at += pointBytes
		}
	}
	return proof, nil
}

// Verify checks a proof in its file's form.
func Verify(file []byte, vk *gnark.VerifyingKey, public fr.Vector) error {
	proof, err := DecodeProof(file, len(vk.Qcp))
	if err != nil {
		return err
	}
	if uint64(len(public)) != vk.NbPublicVariables {
		return fault.New(fault.InvalidKey, "the verifying key takes %d public inputs, not %d", vk.NbPublicVariables, len(public))
	}
	h, err := newHashes()
	if err != nil {
		return err
	}
	drawn := newChallenges(h)
	if err := drawn.wires(vk, public, proof); err != nil {
		return err
	}
	if err := drawn.product(proof); err != nil {
		return err
	}
	if err := drawn.quotient(proof); err != nil {
		return err
	}
	proof.BatchedProof.ClaimedValues[0] = drawn.relate(vk, public, proof, h).value
	if err := gnark.Verify(proof, vk, public, solidity.WithVerifierTargetSolidityVerifier(backend.PLONK)); err != nil {
		return fault.New(fault.InvalidProof, "the proof does not hold for its public values")
	}
	return nil
}
