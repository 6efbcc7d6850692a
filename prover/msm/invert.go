package msm

import "github.com/consensys/gnark-crypto/ecc/bn254/fp"

// invertRows is how many elements share one lane of a batch inversion; each level of the recursion shrinks
// the problem by this factor.
const invertRows = 16

// invertAll replaces every element of v by its inverse; no element may be zero. scratch needs 2·len(v)+64
// elements. It costs about three multiplications per element plus one inversion for the whole batch: the
// vector is cut into rows, running products are taken down the columns, and the last row is inverted in turn.
func invertAll(v, scratch fp.Vector) {
	n := len(v)
	if n <= 2*invertRows {
		invertFew(v, scratch)
		return
	}
	lanes := (n + invertRows - 1) / invertRows
	lanes = (lanes + 7) &^ 7
	// running[r] holds the product of rows 0..r, lane by lane; rows are lanes long, the last may be shorter
	running, rest := scratch[:n], scratch[n:]
	acc, spare, rest := rest[:lanes], rest[lanes:2*lanes], rest[2*lanes:]
	copy(acc, v[:lanes])
	copy(running, v[:lanes])
	for lo := lanes; lo < n; lo += lanes {
		hi := min(lo+lanes, n)
		k := hi - lo
		head := acc[:k]
		head.Mul(head, v[lo:hi])
		copy(running[lo:hi], head)
	}
	invertAll(acc, rest)
	last := (n - 1) / lanes * lanes
	for lo := last; lo > 0; lo -= lanes {
		hi := min(lo+lanes, n)
		k := hi - lo
		out, head := spare[:k], acc[:k]
		out.Mul(head, running[lo-lanes:lo-lanes+k])
		head.Mul(head, v[lo:hi])
		copy(v[lo:hi], out)
	}
	copy(v[:lanes], acc)
}

// invertFew is invertAll for short vectors, one element at a time.
func invertFew(v, scratch fp.Vector) {
	if len(v) == 0 {
		return
	}
	var acc fp.Element
	acc.SetOne()
	for i := range v {
		scratch[i] = acc
		acc.Mul(&acc, &v[i])
	}
	acc.Inverse(&acc)
	for i := len(v) - 1; i >= 0; i-- {
		var out fp.Element
		out.Mul(&acc, &scratch[i])
		acc.Mul(&acc, &v[i])
		v[i] = out
	}
}
