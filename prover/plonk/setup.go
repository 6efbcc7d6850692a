package plonk

import (
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/iop"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/mapfile"
	"provery/prover/msm"
	"provery/prover/pace"
	"provery/prover/srs"
)

// Steps are those of Setup, with the seconds that a million gates take on two cores.
var Steps = []pace.Step{
	pace.Usual("columns", "generate", 2),
	pace.Usual("commit", "generate", 8),
}

// Setup writes the proving key of a circuit to a file and returns the verifying key. Both follow from the circuit and
// the SRS alone: there is nothing secret about them, and everybody can make them anew and compare.
func Setup(system *cs.SparseR1CS, circuitID, srsID string, powers *srs.SRS, path string, threads int, p *pace.Pace) (*gnark.VerifyingKey, error) {
	p.Begin("columns")
	domain := fft.NewDomain(1<<Power(system), fft.WithoutPrecompute())
	trace := gnark.NewTrace(system, domain)
	w, err := mapfile.Create(path, magic, &header{CircuitID: circuitID, SRSID: srsID, Domain: domain.Cardinality, Commitments: len(trace.Qcp)})
	if err != nil {
		return nil, err
	}
	defer w.Abandon()
	places := make([]uint32, len(trace.S))
	for i, place := range trace.S {
		places[i] = uint32(place)
	}
	trace.S = nil
	if err := w.Section(sectionPermutation, mapfile.Bytes(places)); err != nil {
		return nil, err
	}
	rows := system.GetNbConstraints() + system.GetNbPublicVariables()
	padding := bn254.BatchJacobianToAffineG1([]bn254.G1Jac{add(powers.Lagrange[rows:])})
	if err := w.Section(sectionPadding, mapfile.Bytes(padding)); err != nil {
		return nil, err
	}

	p.Begin("commit")
	columns := append([]*iop.Polynomial{trace.Ql, trace.Qr, trace.Qm, trace.Qo, trace.Qk, trace.S1, trace.S2, trace.S3}, trace.Qcp...)
	trace = nil
	digests, scratch := make([]kzg.Digest, len(columns)), make([]msm.Scalar, domain.Cardinality)
	for i := range columns {
		values := columns[i].Coefficients()
		columns[i] = nil
		commitment := commit(powers.Lagrange, values, scratch, threads)
		digests[i].FromJacobian(&commitment)
		domain.FFTInverse(values, fft.DIF, fft.WithNbTasks(threads))
		fft.BitReverse(values)
		if err := w.Section(columnName(i), mapfile.Bytes(values)); err != nil {
			return nil, err
		}
		p.Count(float64(i+1) / float64(len(columns)))
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	vk := &gnark.VerifyingKey{
		Size: domain.Cardinality, SizeInv: domain.CardinalityInv, Generator: domain.Generator,
		CosetShift: domain.FrMultiplicativeGen, NbPublicVariables: uint64(system.GetNbPublicVariables()),
		Ql: digests[ql], Qr: digests[qr], Qm: digests[qm], Qo: digests[qo], Qk: digests[qk],
		S: [3]kzg.Digest{digests[s1], digests[s2], digests[s3]}, Qcp: digests[fixedColumns:],
		CommitmentConstraintIndexes: []uint64{},
	}
	for _, index := range system.CommitmentInfo.CommitmentIndexes() {
		vk.CommitmentConstraintIndexes = append(vk.CommitmentConstraintIndexes, uint64(index))
	}
	vk.Kzg = kzg.VerifyingKey{G1: powers.G1[0], G2: powers.G2}
	vk.Kzg.Lines[0], vk.Kzg.Lines[1] = bn254.PrecomputeLines(powers.G2[0]), bn254.PrecomputeLines(powers.G2[1])
	return vk, nil
}

// add sums points.
func add(points []bn254.G1Affine) (sum bn254.G1Jac) {
	for i := range points {
		sum.AddMixed(&points[i])
	}
	return sum
}

// commit computes Σ vᵢ·Pᵢ; scratch is as long as the values at least.
func commit(points []bn254.G1Affine, values []fr.Element, scratch []msm.Scalar, threads int) bn254.G1Jac {
	scratch = scratch[:len(values)]
	parallel(len(values), threads, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			scratch[i] = values[i].Bits()
		}
	})
	return msm.SumG1(points[:len(values)], scratch, threads)
}
