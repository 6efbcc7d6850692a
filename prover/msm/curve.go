package msm

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// negate is the bit of a point reference that asks for the point's negative; the other 31 bits are an index.
const negate = 1 << 31

// gatherAhead is how many points gather brings into the first-level cache before it copies them.
const gatherAhead = 128

// curve is what the generic algorithm needs of a group: P is an affine point, J a Jacobian one and V a vector
// of coordinates. Methods whose first argument is dst overwrite it; dst may alias the other arguments.
type curve[P, J, V any] interface {
	// pool keeps reducers of this curve for reuse.
	pool() *sync.Pool
	vector(n int) V
	slice(v V, lo, hi int) V
	mul(dst, a, b V, scratch fp.Vector)
	square(dst, a V, scratch fp.Vector)
	add(dst, a, b V)
	sub(dst, a, b V)
	double(dst, a V)
	// invert replaces all elements, none of which is zero.
	invert(v V, scratch fp.Vector)
	// zeros appends to found the indices of zero elements.
	zeros(v V, found []uint32) []uint32
	setOne(v V, i int)

	// gather reads points by reference: x[i], y[i] = ±table[refs[i]].
	gather(x, y V, table []P, refs []uint32)
	// pick reads elements: dst[i] = src[index[i]]; place writes them: dst[index[i]] = src[i].
	pick(dst, src V, index []uint32)
	place(dst V, index []uint32, src V)
	point(x, y V, i int) P
	setPoint(x, y V, i int, p *P)

	addAffine(a, b *P) P
	isInfinity(p *P) bool
	jacobian(p *P) J
	affine(p *J) P
	addJacobian(acc, other *J)
	doubleJacobian(acc *J)
	infinity() J
}

// vectorOpScratch is how many field elements per lane the operations of a curve need as scratch.
const vectorOpScratch = 4
