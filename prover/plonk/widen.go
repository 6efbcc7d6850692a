package plonk

import (
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"provery/prover/msm"
)

const (
	// widestDomain is the largest domain that is widened: beyond it, tables take more memory than they are worth.
	widestDomain = 1 << 15
	// tableBytes bounds the multiples of the points of each of the SRS's two forms.
	tableBytes = 64 << 20
)

// wide is what proofs with a key need each time, computed once.
type wide struct {
	domain *fft.Domain
	// lagrange and powers are multiples of the SRS's points.
	lagrange, powers *msm.G1Table
	// roots are ωⁱ, in order and in bit-reversed order.
	roots, reversed []fr.Element
	// columns are the key's values on the cosets, by coset and column; inverses those of X−1.
	columns  [cosets][][]fr.Element
	inverses [cosets][]fr.Element
}

// Widen computes what later proofs with the key need each time, if the domain is small, and returns how much memory that
// takes.
func (k *Key) Widen(threads int) int64 {
	n := len(k.columns[0])
	if k.wide != nil || n > widestDomain {
		return 0
	}
	w := &wide{domain: fft.NewDomain(uint64(n))}
	w.lagrange = widePoints(k.SRS.Lagrange, threads)
	w.powers = widePoints(k.SRS.G1[:n+spare], threads)
	p := &prover{key: k, threads: threads, n: n, domain: w.domain}
	w.roots = p.powersOfRoot()
	w.reversed = append([]fr.Element{}, w.roots...)
	fft.BitReverse(w.reversed)
	c := &coset{prover: p}
	shifts, err := p.shifts()
	if err != nil {
		return 0
	}
	one := fr.One()
	for i := range shifts {
		for _, column := range k.columns {
			values := make([]fr.Element, n)
			c.evaluate(column, &shifts[i], values)
			w.columns[i] = append(w.columns[i], values)
		}
		inverses, scratch := make([]fr.Element, n), make([]fr.Element, n)
		for j := range inverses {
			inverses[j].Mul(&w.reversed[j], &shifts[i]).Sub(&inverses[j], &one)
		}
		invert(inverses, scratch)
		w.inverses[i] = inverses
	}
	k.wide = w
	return int64(cosets*(len(k.columns)+1)+4)*int64(n)*fr.Bytes + w.lagrange.Bytes() + w.powers.Bytes()
}

func widePoints(points []bn254.G1Affine, threads int) *msm.G1Table {
	plan, _ := msm.Choose(msm.Load{G1: len(points), G1Tables: 1}, tableBytes)
	numbered := make([]msm.Point[bn254.G1Affine], len(points))
	for i := range points {
		numbered[i] = msm.Point[bn254.G1Affine]{P: points[i], Scalar: uint32(i)}
	}
	return msm.NewG1(numbered, plan, threads)
}

// commitWide is commit with multiples of the points; values may be fewer than points.
func commitWide(table *msm.G1Table, values []fr.Element, scratch []msm.Scalar, threads int) bn254.G1Jac {
	scratch = scratch[:table.Count()]
	for i := range values {
		scratch[i] = values[i].Bits()
	}
	clear(scratch[len(values):])
	return table.Sum(msm.Cut(scratch, table.Width()), threads)
}
