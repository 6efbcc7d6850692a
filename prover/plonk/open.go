package plonk

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"

	"provery/prover/fault"
)

// commitQuotient commits to the quotient's parts h₁, h₂, h₃ of n+2 coefficients and draws ζ. Random multiples of
// powers go from each part to the next, so that the parts show nothing of the witness.
func (p *prover) commitQuotient(q []fr.Element) error {
	part := p.n + 2
	for i := range p.proof.H {
		sum := p.commit(true, q[i*part:(i+1)*part])
		p.randomize(i, func(coefficient fr.Element, at int) {
			var term bn254.G1Jac
			term.FromAffine(&p.key.SRS.G1[at])
			term.ScalarMultiplication(&term, coefficient.BigInt(new(big.Int)))
			sum.AddAssign(&term)
		})
		p.proof.H[i].FromJacobian(&sum)
	}
	return p.drawn.quotient(&p.proof)
}

// randomize calls add for what blinding adds to part i: ρᵢ·X^{n+2} − ρᵢ₋₁.
func (p *prover) randomize(i int, add func(coefficient fr.Element, at int)) {
	if i < len(p.randomizers) {
		add(p.randomizers[i], p.n+2)
	}
	if i > 0 {
		var minus fr.Element
		add(*minus.Neg(&p.randomizers[i-1]), 0)
	}
}

// open makes the openings at ωζ and, folded into one, at ζ.
func (p *prover) open(q []fr.Element) error {
	vk, proof, zeta := p.key.VK, &p.proof, &p.drawn.zeta
	claimed := make([]fr.Element, 6+len(p.committed))
	for i := range p.wires {
		claimed[1+i] = evaluate(p.wires[i], zeta, p.threads)
	}
	for i := range 2 {
		claimed[4+i] = evaluate(p.key.columns[s1+i], zeta, p.threads)
	}
	for i := range p.committed {
		claimed[6+i] = evaluate(p.key.columns[fixedColumns+i], zeta, p.threads)
	}
	proof.BatchedProof.ClaimedValues = claimed
	var next fr.Element
	next.Mul(zeta, &p.domain.Generator)
	proof.ZShiftedOpening.ClaimedValue = evaluate(p.z, &next, p.threads)

	relation := p.drawn.relate(vk, p.public, proof, p.hashes)
	claimed[0] = relation.value
	var linearised bn254.G1Affine
	if _, err := linearised.MultiExp(relation.digests(vk, proof), relation.weights, ecc.MultiExpConfig{}); err != nil {
		return err
	}
	digests := append([]kzg.Digest{linearised, proof.LRO[0], proof.LRO[1], proof.LRO[2], vk.S[0], vk.S[1]}, vk.Qcp...)
	gamma, err := fold(p.hashes, zeta, digests, proof)
	if err != nil {
		return err
	}

	// the linearised polynomial and, times powers of γ, the others
	folded := make([]fr.Element, p.n+spare)
	weight := relation.weights
	for i := range p.committed {
		p.addTo(folded, p.committed[i], &weight[i])
	}
	weight = weight[len(p.committed):]
	part := p.n + 2
	for i, polynomial := range [][]fr.Element{p.key.columns[ql], p.key.columns[qr], p.key.columns[qm], p.key.columns[qo],
		p.key.columns[qk], p.key.columns[s3], p.z, q[:part], q[part : 2*part], q[2*part : 3*part]} {
		p.addTo(folded, polynomial, &weight[i])
	}
	for i := range proof.H {
		p.randomize(i, func(coefficient fr.Element, at int) {
			coefficient.Mul(&coefficient, &weight[7+i])
			folded[at].Add(&folded[at], &coefficient)
		})
	}
	power, value := gamma, claimed[0]
	for i, polynomial := range append([][]fr.Element{p.wires[0], p.wires[1], p.wires[2], p.key.columns[s1], p.key.columns[s2]},
		p.key.columns[fixedColumns:]...) {
		p.addTo(folded, polynomial, &power)
		var t fr.Element
		value.Add(&value, t.Mul(&power, &claimed[1+i]))
		power.Mul(&power, &gamma)
	}
	rest, remainder := divide(folded, zeta)
	if !remainder.Equal(&value) {
		return fault.New(fault.Internal, "the openings do not add up")
	}
	sum := p.commit(true, rest)
	proof.BatchedProof.H.FromJacobian(&sum)

	rest, _ = divide(p.z, &next)
	sum = p.commit(true, rest)
	proof.ZShiftedOpening.H.FromJacobian(&sum)
	return nil
}

// addTo adds a multiple of a polynomial to another that is no shorter.
func (p *prover) addTo(sum, polynomial []fr.Element, weight *fr.Element) {
	parallel(len(polynomial), p.threads, func(lo, hi int) {
		var t fr.Element
		for i := lo; i < hi; i++ {
			sum[i].Add(&sum[i], t.Mul(&polynomial[i], weight))
		}
	})
}
