package plonk

import (
	"hash"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/hash_to_field"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"
	fiatshamir "github.com/consensys/gnark-crypto/fiat-shamir"
	"github.com/consensys/gnark/backend"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	"github.com/consensys/gnark/backend/solidity"
)

// hashes are those that the Solidity verifier uses.
type hashes struct{ challenge, folding, toField hash.Hash }

func newHashes() (hashes, error) {
	config, err := backend.NewProverConfig(solidity.WithProverTargetSolidityVerifier(backend.PLONK))
	if err != nil {
		return hashes{}, err
	}
	out := hashes{config.ChallengeHash, config.KZGFoldingHash, config.HashToFieldFn}
	if out.toField == nil {
		out.toField = hash_to_field.New([]byte("BSB22-Plonk"))
	}
	return out, nil
}

// hashCommitment is the value that a circuit gets for a commitment.
func (h hashes) hashCommitment(commitment *bn254.G1Affine) (value fr.Element) {
	h.toField.Reset()
	h.toField.Write(commitment.Marshal())
	value.SetBytes(h.toField.Sum(nil)[:min(fr.Bytes, h.toField.Size())])
	h.toField.Reset()
	return value
}

// challenges are what the verifier would draw at random.
type challenges struct {
	transcript               *fiatshamir.Transcript
	gamma, beta, alpha, zeta fr.Element
}

func newChallenges(h hashes) *challenges {
	return &challenges{transcript: fiatshamir.NewTranscript(h.challenge, "gamma", "beta", "alpha", "zeta")}
}

func (c *challenges) draw(into *fr.Element, name string, points ...*bn254.G1Affine) error {
	for _, point := range points {
		raw := point.RawBytes()
		if err := c.transcript.Bind(name, raw[:]); err != nil {
			return err
		}
	}
	text, err := c.transcript.ComputeChallenge(name)
	into.SetBytes(text)
	return err
}

// wires draws γ and β, once the wires are committed to.
func (c *challenges) wires(vk *gnark.VerifyingKey, public []fr.Element, proof *gnark.Proof) error {
	points := append([]*bn254.G1Affine{&vk.S[0], &vk.S[1], &vk.S[2], &vk.Ql, &vk.Qr, &vk.Qm, &vk.Qo, &vk.Qk}, pointers(vk.Qcp)...)
	for _, point := range points {
		if err := c.transcript.Bind("gamma", point.Marshal()); err != nil {
			return err
		}
	}
	for i := range public {
		if err := c.transcript.Bind("gamma", public[i].Marshal()); err != nil {
			return err
		}
	}
	if err := c.draw(&c.gamma, "gamma", &proof.LRO[0], &proof.LRO[1], &proof.LRO[2]); err != nil {
		return err
	}
	return c.draw(&c.beta, "beta")
}

// product draws α, once the grand product is committed to.
func (c *challenges) product(proof *gnark.Proof) error {
	return c.draw(&c.alpha, "alpha", append(pointers(proof.Bsb22Commitments), &proof.Z)...)
}

// quotient draws ζ, once the quotient is committed to.
func (c *challenges) quotient(proof *gnark.Proof) error {
	return c.draw(&c.zeta, "zeta", &proof.H[0], &proof.H[1], &proof.H[2])
}

func pointers(points []bn254.G1Affine) []*bn254.G1Affine {
	out := make([]*bn254.G1Affine, len(points))
	for i := range points {
		out[i] = &points[i]
	}
	return out
}

// relation is the verifier's view of a proof: the linearised polynomial's coefficients and its value at ζ follow from
// the challenges and the values that the proof claims.
type relation struct {
	// weights belong to linearised's points: the columns qcp of commitments first, then ql, qr, qm, qo, qk, s3, z, h₁,
	// h₂, h₃.
	weights []fr.Element
	value   fr.Element
}

// digests are the commitments that a relation's weights belong to.
func (r *relation) digests(vk *gnark.VerifyingKey, proof *gnark.Proof) []kzg.Digest {
	return append(proof.Bsb22Commitments[:len(proof.Bsb22Commitments):len(proof.Bsb22Commitments)],
		vk.Ql, vk.Qr, vk.Qm, vk.Qo, vk.Qk, vk.S[2], proof.Z, proof.H[0], proof.H[1], proof.H[2])
}

// relate derives the relation. Of the proof's claimed values all but the first, which is the outcome, must be known.
func (c *challenges) relate(vk *gnark.VerifyingKey, public []fr.Element, proof *gnark.Proof, h hashes) *relation {
	claimed := proof.BatchedProof.ClaimedValues
	l, r, o, s1, s2, zShifted := claimed[1], claimed[2], claimed[3], claimed[4], claimed[5], proof.ZShiftedOpening.ClaimedValue
	one := fr.One()
	var zetaN, vanishing, lagrange fr.Element // ζⁿ, ζⁿ−1, α²·L₀(ζ)
	zetaN.Exp(c.zeta, new(big.Int).SetUint64(vk.Size))
	vanishing.Sub(&zetaN, &one)
	// lagrangeAt is ωⁱ·(ζⁿ−1)/(n·(ζ−ωⁱ))
	lagrangeAt := func(i uint64) (at fr.Element) {
		var root fr.Element
		root.Exp(vk.Generator, new(big.Int).SetUint64(i))
		at.Sub(&c.zeta, &root).Inverse(&at).Mul(&at, &vanishing).Mul(&at, &root).Mul(&at, &vk.SizeInv)
		return at
	}
	lagrange = lagrangeAt(0)
	lagrange.Mul(&lagrange, &c.alpha).Mul(&lagrange, &c.alpha)
	var inputs fr.Element
	for i := range public {
		at := lagrangeAt(uint64(i))
		inputs.Add(&inputs, at.Mul(&at, &public[i]))
	}
	for i, index := range vk.CommitmentConstraintIndexes {
		at, value := lagrangeAt(vk.NbPublicVariables+index), h.hashCommitment(&proof.Bsb22Commitments[i])
		inputs.Add(&inputs, at.Mul(&at, &value))
	}

	// with the permutation's columns, and with the identity's
	var a, b, both, t fr.Element
	a.Mul(&c.beta, &s1).Add(&a, &l).Add(&a, &c.gamma)
	b.Mul(&c.beta, &s2).Add(&b, &r).Add(&b, &c.gamma)
	both.Mul(&a, &b).Mul(&both, &zShifted).Mul(&both, &c.alpha)
	out := new(relation)
	t.Add(&o, &c.gamma)
	out.value.Mul(&both, &t).Sub(&out.value, &lagrange).Add(&out.value, &inputs).Neg(&out.value)

	var withS3, withZ, id fr.Element
	withS3.Mul(&both, &c.beta)
	withZ.Set(&c.alpha)
	id.Mul(&c.beta, &c.zeta)
	for _, wire := range []*fr.Element{&l, &r, &o} {
		t.Add(wire, &id).Add(&t, &c.gamma)
		withZ.Mul(&withZ, &t)
		id.Mul(&id, &vk.CosetShift)
	}
	withZ.Neg(&withZ).Add(&withZ, &lagrange)
	var lr, h1, h2, h3, shift fr.Element
	lr.Mul(&l, &r)
	shift.Square(&c.zeta).Mul(&shift, &zetaN) // ζⁿ⁺²
	h1.Neg(&vanishing)
	h2.Mul(&h1, &shift)
	h3.Mul(&h2, &shift)
	out.weights = append(claimed[6:len(claimed):len(claimed)], l, r, lr, o, one, withS3, withZ, h1, h2, h3)
	return out
}

// fold draws the challenge that openings at ζ are folded with. It follows gnark-crypto's kzg.FoldProof.
func fold(h hashes, zeta *fr.Element, digests []kzg.Digest, proof *gnark.Proof) (gamma fr.Element, err error) {
	transcript := fiatshamir.NewTranscript(h.folding, "gamma")
	parts := [][]byte{zeta.Marshal()}
	for i := range digests {
		parts = append(parts, digests[i].Marshal())
	}
	for i := range proof.BatchedProof.ClaimedValues {
		parts = append(parts, proof.BatchedProof.ClaimedValues[i].Marshal())
	}
	parts = append(parts, proof.ZShiftedOpening.ClaimedValue.Marshal())
	for _, part := range parts {
		if err := transcript.Bind("gamma", part); err != nil {
			return gamma, err
		}
	}
	text, err := transcript.ComputeChallenge("gamma")
	gamma.SetBytes(text)
	return gamma, err
}
