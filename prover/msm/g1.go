package msm

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// g1 is the curve over the base field; a vector of coordinates is a vector of field elements.
type g1 struct{}

var g1Pool sync.Pool

func (g1) pool() *sync.Pool { return &g1Pool }

func (g1) vector(n int) fp.Vector                         { return make(fp.Vector, n) }
func (g1) slice(v fp.Vector, lo, hi int) fp.Vector        { return v[lo:hi] }
func (g1) mul(dst, a, b fp.Vector, _ fp.Vector)           { dst.Mul(a, b) }
func (g1) square(dst, a fp.Vector, _ fp.Vector)           { dst.Mul(a, a) }
func (g1) add(dst, a, b fp.Vector)                        { dst.Add(a, b) }
func (g1) sub(dst, a, b fp.Vector)                        { dst.Sub(a, b) }
func (g1) double(dst, a fp.Vector)                        { dst.Add(a, a) }
func (g1) invert(v fp.Vector, scratch fp.Vector)          { invertAll(v, scratch) }
func (g1) setOne(v fp.Vector, i int)                      { v[i].SetOne() }
func (g1) isInfinity(p *bn254.G1Affine) bool              { return p.IsInfinity() }
func (g1) addJacobian(acc, other *bn254.G1Jac)            { acc.AddAssign(other) }
func (g1) doubleJacobian(acc *bn254.G1Jac)                { acc.DoubleAssign() }
func (g1) point(x, y fp.Vector, i int) (p bn254.G1Affine) { p.X, p.Y = x[i], y[i]; return }

func (g1) zeros(v fp.Vector, found []uint32) []uint32 {
	for i := range v {
		if v[i][0]|v[i][1]|v[i][2]|v[i][3] == 0 {
			found = append(found, uint32(i))
		}
	}
	return found
}

func (g1) gather(x, y fp.Vector, table []bn254.G1Affine, refs []uint32) {
	x, y = x[:len(refs)], y[:len(refs)]
	for i, ref := range refs {
		if i%gatherAhead == 0 {
			touchG1(table, refs[i:min(i+gatherAhead, len(refs))])
		}
		p := &table[ref&^negate]
		x[i] = p.X
		if ref&negate != 0 {
			y[i].Neg(&p.Y)
		} else {
			y[i] = p.Y
		}
	}
}

// touchG1 reads a word of each point, so that they are in the nearest cache when they are copied. Nothing else is done
// between these reads, so that many are under way at once. It is not inlined, lest they be left out.
//
//go:noinline
func touchG1(table []bn254.G1Affine, refs []uint32) (all uint64) {
	for _, ref := range refs {
		all ^= table[ref&^negate].X[0]
	}
	return
}

func (g1) pick(dst, src fp.Vector, index []uint32) {
	for i, j := range index {
		dst[i] = src[j]
	}
}

func (g1) place(dst fp.Vector, index []uint32, src fp.Vector) {
	for i, j := range index {
		dst[j] = src[i]
	}
}

func (g1) setPoint(x, y fp.Vector, i int, p *bn254.G1Affine) { x[i], y[i] = p.X, p.Y }

func (g1) addAffine(a, b *bn254.G1Affine) (sum bn254.G1Affine) {
	sum.Add(a, b)
	return
}

func (g1) jacobian(p *bn254.G1Affine) (j bn254.G1Jac) {
	j.FromAffine(p)
	return
}

func (g1) affine(p *bn254.G1Jac) (a bn254.G1Affine) {
	a.FromJacobian(p)
	return
}

func (g1) infinity() (j bn254.G1Jac) {
	j.X.SetOne()
	j.Y.SetOne()
	return
}
