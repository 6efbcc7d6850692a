package msm

import "github.com/consensys/gnark-crypto/ecc/bn254/fp"

// batchPoints is how many sorted references one batch takes in; at 32 bytes a coordinate its vectors stay
// within a second-level cache.
const batchPoints = 4096

// batch adds many independent pairs of affine points at once. It belongs to one goroutine.
type batch[P, J, V any, C curve[P, J, V]] struct {
	c                      C
	x1, y1, x2, y2, dx, dy V
	scratch                fp.Vector
	fix                    []uint32
	// infinities is set once a point at infinity may be among the inputs; until then they are not looked for.
	infinities bool
}

func newBatch[P, J, V any, C curve[P, J, V]](pairs int) *batch[P, J, V, C] {
	b := &batch[P, J, V, C]{}
	b.x1, b.y1, b.x2, b.y2 = b.c.vector(pairs), b.c.vector(pairs), b.c.vector(pairs), b.c.vector(pairs)
	b.dx, b.dy = b.c.vector(pairs), b.c.vector(pairs)
	b.scratch = make(fp.Vector, (vectorOpScratch+1)*pairs+256)
	return b
}

// add puts (x1,y1) + (x2,y2) into (x1,y1), for the first n pairs. Equal, opposite and infinite points are
// found and added one by one.
func (b *batch[P, J, V, C]) add(n int) {
	if n == 0 {
		return
	}
	// vectors go in blocks of eight; what is left over in the last block is computed along and ignored
	m := min((n+7)&^7, batchPoints)
	x1, y1, x2, y2 := b.c.slice(b.x1, 0, m), b.c.slice(b.y1, 0, m), b.c.slice(b.x2, 0, m), b.c.slice(b.y2, 0, m)
	dx, dy := b.c.slice(b.dx, 0, m), b.c.slice(b.dy, 0, m)
	b.c.sub(dx, x2, x1)
	b.fix = b.c.zeros(b.c.slice(dx, 0, n), b.fix[:0])
	if b.infinities {
		b.fix = b.c.zeros(b.c.slice(y1, 0, n), b.fix)
		b.fix = b.c.zeros(b.c.slice(y2, 0, n), b.fix)
	}
	for i := n; i < m; i++ {
		b.c.setOne(dx, i)
	}
	fixed := make([]P, len(b.fix))
	for i, at := range b.fix {
		left, right := b.c.point(x1, y1, int(at)), b.c.point(x2, y2, int(at))
		fixed[i] = b.c.addAffine(&left, &right)
		if b.c.isInfinity(&fixed[i]) {
			b.infinities = true
		}
		b.c.setOne(dx, int(at))
	}
	b.c.sub(dy, y2, y1)
	b.c.invert(dx, b.scratch)
	b.c.mul(dy, dy, dx, b.scratch) // the slope
	b.c.square(dx, dy, b.scratch)
	b.c.sub(dx, dx, x1)
	b.c.sub(dx, dx, x2) // the new x
	b.c.sub(x2, x1, dx)
	b.c.mul(x2, x2, dy, b.scratch)
	b.c.sub(y1, x2, y1)
	for i, at := range b.fix {
		b.c.setPoint(dx, y1, int(at), &fixed[i])
	}
	b.x1, b.dx = b.dx, b.x1
}

// doubleAll doubles points in place, times times, in batches; none may be at infinity.
func (b *batch[P, J, V, C]) doubleAll(points []P, capacity, times int) {
	refs := make([]uint32, 0, capacity)
	for lo := 0; lo < len(points); lo += capacity {
		part := points[lo:min(lo+capacity, len(points))]
		n := len(part)
		refs = refs[:0]
		for i := range part {
			refs = append(refs, uint32(i))
		}
		b.c.gather(b.x1, b.y1, part, refs)
		for range times {
			x, y := b.c.slice(b.x1, 0, n), b.c.slice(b.y1, 0, n)
			slope, inverse := b.c.slice(b.dx, 0, n), b.c.slice(b.dy, 0, n)
			sum := b.c.slice(b.x2, 0, n)
			b.c.double(inverse, y)
			b.c.invert(inverse, b.scratch)
			b.c.square(slope, x, b.scratch)
			b.c.double(sum, slope)
			b.c.add(slope, slope, sum)
			b.c.mul(slope, slope, inverse, b.scratch)
			b.c.square(inverse, slope, b.scratch)
			b.c.double(sum, x)
			b.c.sub(inverse, inverse, sum) // the new x
			b.c.sub(sum, x, inverse)
			b.c.mul(sum, sum, slope, b.scratch)
			b.c.sub(y, sum, y)
			b.x1, b.dy = b.dy, b.x1
		}
		for i := range part {
			part[i] = b.c.point(b.x1, b.y1, i)
		}
	}
}
