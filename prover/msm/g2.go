package msm

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// pairs is a vector of elements re + im·u of the quadratic extension, u² = −1.
type pairs struct{ re, im fp.Vector }

// g2 is the curve over the quadratic extension.
type g2 struct{}

var g2Pool sync.Pool

func (g2) pool() *sync.Pool { return &g2Pool }

func (g2) vector(n int) pairs                  { return pairs{make(fp.Vector, n), make(fp.Vector, n)} }
func (g2) slice(v pairs, lo, hi int) pairs     { return pairs{v.re[lo:hi], v.im[lo:hi]} }
func (g2) add(dst, a, b pairs)                 { dst.re.Add(a.re, b.re); dst.im.Add(a.im, b.im) }
func (g2) sub(dst, a, b pairs)                 { dst.re.Sub(a.re, b.re); dst.im.Sub(a.im, b.im) }
func (g2) double(dst, a pairs)                 { dst.re.Add(a.re, a.re); dst.im.Add(a.im, a.im) }
func (g2) isInfinity(p *bn254.G2Affine) bool   { return p.IsInfinity() }
func (g2) addJacobian(acc, other *bn254.G2Jac) { acc.AddAssign(other) }
func (g2) doubleJacobian(acc *bn254.G2Jac)     { acc.DoubleAssign() }

func (g2) mul(dst, a, b pairs, scratch fp.Vector) {
	n := len(dst.re)
	re, im, left, right := scratch[:n], scratch[n:2*n], scratch[2*n:3*n], scratch[3*n:4*n]
	left.Add(a.re, a.im)
	right.Add(b.re, b.im)
	left.Mul(left, right)
	re.Mul(a.re, b.re)
	im.Mul(a.im, b.im)
	left.Sub(left, re)
	dst.im.Sub(left, im)
	dst.re.Sub(re, im)
}

func (g2) square(dst, a pairs, scratch fp.Vector) {
	n := len(dst.re)
	sum, difference := scratch[:n], scratch[n:2*n]
	sum.Add(a.re, a.im)
	difference.Sub(a.re, a.im)
	dst.im.Mul(a.re, a.im)
	dst.im.Add(dst.im, dst.im)
	dst.re.Mul(sum, difference)
}

// invert uses 1/(re + im·u) = (re − im·u)/(re² + im²): only norms are inverted.
func (g2) invert(v pairs, scratch fp.Vector) {
	n := len(v.re)
	norm, other, rest := scratch[:n], scratch[n:2*n], scratch[2*n:]
	norm.Mul(v.re, v.re)
	other.Mul(v.im, v.im)
	norm.Add(norm, other)
	invertAll(norm, rest)
	v.re.Mul(v.re, norm)
	v.im.Mul(v.im, norm)
	clear(other)
	v.im.Sub(other, v.im)
}

func (g2) zeros(v pairs, found []uint32) []uint32 {
	for i := range v.re {
		if v.re[i].IsZero() && v.im[i].IsZero() {
			found = append(found, uint32(i))
		}
	}
	return found
}

func (g2) setOne(v pairs, i int) {
	v.re[i].SetOne()
	v.im[i].SetZero()
}

func (g2) gather(x, y pairs, table []bn254.G2Affine, refs []uint32) {
	for i, ref := range refs {
		if i%gatherAhead == 0 {
			touchG2(table, refs[i:min(i+gatherAhead, len(refs))])
		}
		p := &table[ref&^negate]
		x.re[i], x.im[i] = p.X.A0, p.X.A1
		if ref&negate != 0 {
			y.re[i].Neg(&p.Y.A0)
			y.im[i].Neg(&p.Y.A1)
		} else {
			y.re[i], y.im[i] = p.Y.A0, p.Y.A1
		}
	}
}

// touchG2 is touchG1 for points of two cache lines.
//
//go:noinline
func touchG2(table []bn254.G2Affine, refs []uint32) (all uint64) {
	for _, ref := range refs {
		p := &table[ref&^negate]
		all ^= p.X.A0[0] ^ p.Y.A0[0]
	}
	return
}

func (g2) pick(dst, src pairs, index []uint32) {
	for i, j := range index {
		dst.re[i], dst.im[i] = src.re[j], src.im[j]
	}
}

func (g2) place(dst pairs, index []uint32, src pairs) {
	for i, j := range index {
		dst.re[j], dst.im[j] = src.re[i], src.im[i]
	}
}

func (g2) point(x, y pairs, i int) (p bn254.G2Affine) {
	p.X.A0, p.X.A1, p.Y.A0, p.Y.A1 = x.re[i], x.im[i], y.re[i], y.im[i]
	return
}

func (g2) setPoint(x, y pairs, i int, p *bn254.G2Affine) {
	x.re[i], x.im[i], y.re[i], y.im[i] = p.X.A0, p.X.A1, p.Y.A0, p.Y.A1
}

func (g2) addAffine(a, b *bn254.G2Affine) (sum bn254.G2Affine) {
	sum.Add(a, b)
	return
}

func (g2) jacobian(p *bn254.G2Affine) (j bn254.G2Jac) {
	j.FromAffine(p)
	return
}

func (g2) affine(p *bn254.G2Jac) (a bn254.G2Affine) {
	a.FromJacobian(p)
	return
}

func (g2) infinity() (j bn254.G2Jac) {
	j.X.SetOne()
	j.Y.SetOne()
	return
}
