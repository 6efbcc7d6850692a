package msm

import (
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// fixedWidth is the window width in bits of the tables behind MultiplyG1 and MultiplyG2.
const fixedWidth = 12

// MultiplyG1 returns kᵢ·base for every scalar, on up to threads goroutines.
func MultiplyG1(base bn254.G1Affine, scalars []Scalar, threads int) []bn254.G1Affine {
	return multiply[bn254.G1Affine, bn254.G1Jac, fp.Vector, g1](base, scalars, threads)
}

// MultiplyG2 is MultiplyG1 for G2.
func MultiplyG2(base bn254.G2Affine, scalars []Scalar, threads int) []bn254.G2Affine {
	return multiply[bn254.G2Affine, bn254.G2Jac, pairs, g2](base, scalars, threads)
}

// multiply adds up, for each scalar, one multiple of the base per window from a table of all of them.
func multiply[P, J, V any, C curve[P, J, V]](base P, scalars []Scalar, threads int) []P {
	windows, half := windowCount(fixedWidth), 1<<(fixedWidth-1)
	table := multiples[P, J, V, C](base, windows, half)
	out := make([]P, len(scalars))
	part := batchPoints / windows
	each(threads, (len(scalars)+part-1)/part, func() (func(int), func()) {
		r := borrowReducer[P, J, V, C]()
		var refs []uint32
		var chunk []segment
		return func(k int) {
			lo, hi := k*part, min((k+1)*part, len(scalars))
			digits := Cut(scalars[lo:hi], fixedWidth)
			refs, chunk = refs[:0], chunk[:0]
			for i := lo; i < hi; i++ {
				start := uint32(len(refs))
				for w := range windows {
					if digit := digits.rows[w][i-lo]; digit != 0 {
						refs = append(refs, uint32(w*half)+digit>>1-1|digit<<31)
					}
				}
				if end := uint32(len(refs)); end > start {
					chunk = append(chunk, segment{uint32(i), start, end})
				}
			}
			if len(chunk) > 0 {
				r.reduce(chunk, refs, table, func(s segment, p P) { out[s.run] = p })
			}
		}, r.release
	})
	return out
}

// multiples returns d·2^(fixedWidth·w)·base at index w·half + d−1, for d from 1 to half.
func multiples[P, J, V any, C curve[P, J, V]](base P, windows, half int) []P {
	var c C
	table := make([]P, windows*half)
	r := borrowReducer[P, J, V, C]()
	defer r.release()
	b := r.batch
	b.infinities = false
	refs, unit := make([]uint32, half), make([]uint32, half)
	start := c.jacobian(&base)
	for w := range windows {
		row := table[w*half : (w+1)*half]
		row[0] = c.affine(&start)
		// with 1 to n known, the next n are n plus each of them; n plus n is the batch's odd case
		for n := 1; n < half; n *= 2 {
			for i := range n {
				refs[i], unit[i] = uint32(i), uint32(n-1)
			}
			c.gather(b.x1, b.y1, row, refs[:n])
			c.gather(b.x2, b.y2, row, unit[:n])
			b.add(n)
			for i := range n {
				row[n+i] = c.point(b.x1, b.y1, i)
			}
		}
		for range fixedWidth {
			c.doubleJacobian(&start)
		}
	}
	return table
}
