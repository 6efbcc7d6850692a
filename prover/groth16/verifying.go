// Package groth16 proves and verifies in the Groth16 scheme over BN254 ("bn128" in circom's terms), with the
// file formats of snarkjs. Source: Groth, "On the Size of Pairing-based Non-interactive Arguments", 2016.
package groth16

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/r1cs"
)

// VerifyingKey is what a verifier needs. IC has one point more than there are public inputs.
type VerifyingKey struct {
	Alpha1                bn254.G1Affine
	Beta2, Gamma2, Delta2 bn254.G2Affine
	IC                    []bn254.G1Affine
}

// Proof is a Groth16 proof. Its points are on their curves and in their subgroups.
type Proof struct {
	A, C bn254.G1Affine
	B    bn254.G2Affine
}

// Verify reports whether the proof is valid for the public inputs, which are in normal form. The error, of
// kind invalid_input, is for a wrong number of public inputs.
func (vk *VerifyingKey) Verify(proof *Proof, public []msm.Scalar) (bool, error) {
	sum, err := vk.publicPoint(public)
	if err != nil {
		return false, err
	}
	var minusA bn254.G1Affine
	minusA.Neg(&proof.A)
	return bn254.PairingCheck(
		[]bn254.G1Affine{minusA, vk.Alpha1, sum, proof.C},
		[]bn254.G2Affine{proof.B, vk.Beta2, vk.Gamma2, vk.Delta2})
}

// publicPoint is IC₀ + Σ publicᵢ·ICᵢ₊₁.
func (vk *VerifyingKey) publicPoint(public []msm.Scalar) (sum bn254.G1Affine, err error) {
	scalars := make([]fr.Element, len(vk.IC))
	one := fr.One()
	if err := vk.addPublic(scalars, public, &one); err != nil {
		return sum, err
	}
	_, err = sum.MultiExp(vk.IC, scalars, ecc.MultiExpConfig{NbTasks: 1})
	return sum, err
}

// addPublic adds what a proof's public inputs multiply the points IC with, times weight, to scalars.
func (vk *VerifyingKey) addPublic(scalars []fr.Element, public []msm.Scalar, weight *fr.Element) error {
	if len(public)+1 != len(vk.IC) {
		return fault.New(fault.InvalidInput, "%d public inputs given, the key takes %d", len(public), len(vk.IC)-1)
	}
	scalars[0].Add(&scalars[0], weight)
	for i := range public {
		input := r1cs.FromNormal(public[i])
		scalars[i+1].Add(&scalars[i+1], input.Mul(&input, weight))
	}
	return nil
}

// VerifyBatch reports whether all proofs are valid, by one pairing check on a random linear combination with
// 127-bit coefficients: a batch with an invalid proof passes with a chance of at most 2^−127. proofs and
// publics have the same length.
func (vk *VerifyingKey) VerifyBatch(proofs []*Proof, publics [][]msm.Scalar) (bool, error) {
	left, right := make([]bn254.G1Affine, 0, len(proofs)+3), make([]bn254.G2Affine, 0, len(proofs)+3)
	scalars, weights, cs := make([]fr.Element, len(vk.IC)), make([]fr.Element, len(proofs)), make([]bn254.G1Affine, len(proofs))
	for i, proof := range proofs {
		var err error
		if weights[i], err = randomWeight(); err != nil {
			return false, err
		}
		if err := vk.addPublic(scalars, publics[i], &weights[i]); err != nil {
			return false, err
		}
		var a bn254.G1Affine
		a.ScalarMultiplication(&proof.A, weights[i].BigInt(newInt()))
		left, right = append(left, *a.Neg(&a)), append(right, proof.B)
		cs[i] = proof.C
	}
	var alpha, public, c bn254.G1Affine
	// IC₀ is taken once for each proof, as α is
	alpha.ScalarMultiplication(&vk.Alpha1, scalars[0].BigInt(newInt()))
	if _, err := public.MultiExp(vk.IC, scalars, ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return false, err
	}
	if _, err := c.MultiExp(cs, weights, ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return false, err
	}
	left, right = append(left, alpha, public, c), append(right, vk.Beta2, vk.Gamma2, vk.Delta2)
	return bn254.PairingCheck(left, right)
}

// randomWeight returns a nonzero number below 2^127 from the system's randomness.
func randomWeight() (weight fr.Element, err error) {
	var bytes [16]byte
	for weight.IsZero() {
		if _, err = rand.Read(bytes[:]); err != nil {
			return weight, err
		}
		weight = r1cs.FromNormal(msm.Scalar{binary.LittleEndian.Uint64(bytes[:]), binary.LittleEndian.Uint64(bytes[8:]) >> 1})
	}
	return weight, nil
}
