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
	if len(public)+1 != len(vk.IC) {
		return sum, fault.New(fault.InvalidInput, "%d public inputs given, the key takes %d", len(public), len(vk.IC)-1)
	}
	elements := make([]fr.Element, len(public))
	for i := range elements {
		elements[i] = r1cs.FromNormal(public[i])
	}
	if _, err := sum.MultiExp(vk.IC[1:], elements, ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return sum, err
	}
	sum.Add(&sum, &vk.IC[0])
	return sum, nil
}

// VerifyBatch reports whether all proofs are valid, by one pairing check on a random linear combination with
// 127-bit coefficients: a batch with an invalid proof passes with a chance of at most 2^−127. proofs and
// publics have the same length.
func (vk *VerifyingKey) VerifyBatch(proofs []*Proof, publics [][]msm.Scalar) (bool, error) {
	left, right := make([]bn254.G1Affine, 0, len(proofs)+3), make([]bn254.G2Affine, 0, len(proofs)+3)
	var publicSum, cSum, alpha bn254.G1Jac
	var weightSum fr.Element
	for i, proof := range proofs {
		point, err := vk.publicPoint(publics[i])
		if err != nil {
			return false, err
		}
		weight, err := randomWeight()
		if err != nil {
			return false, err
		}
		big := weight.BigInt(newInt())
		var a, c, p bn254.G1Jac
		a.FromAffine(&proof.A)
		a.ScalarMultiplication(&a, big)
		c.FromAffine(&proof.C)
		c.ScalarMultiplication(&c, big)
		p.FromAffine(&point)
		p.ScalarMultiplication(&p, big)
		cSum.AddAssign(&c)
		publicSum.AddAssign(&p)
		weightSum.Add(&weightSum, &weight)
		var weighted bn254.G1Affine
		weighted.FromJacobian(&a)
		weighted.Neg(&weighted)
		left, right = append(left, weighted), append(right, proof.B)
	}
	alpha.FromAffine(&vk.Alpha1)
	alpha.ScalarMultiplication(&alpha, weightSum.BigInt(newInt()))
	for _, sum := range []*bn254.G1Jac{&alpha, &publicSum, &cSum} {
		var point bn254.G1Affine
		left = append(left, *point.FromJacobian(sum))
	}
	right = append(right, vk.Beta2, vk.Gamma2, vk.Delta2)
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
