package sha256

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
)

// xor2 costs one constraint, or none if a bit is constant.
func (h *Hasher) xor2(a, b frontend.Variable) frontend.Variable {
	return h.api.Sub(h.api.Add(a, b), h.api.Mul(2, a, b))
}

// Xor returns the exclusive or of two words, one constraint a bit.
func (h *Hasher) Xor(a, b Word) (out Word) {
	for i := range out {
		out[i] = h.xor2(a[i], b[i])
	}
	return out
}

// xor3 returns the exclusive or of three words, one constraint a bit.
func (h *Hasher) xor3(a, b, c Word) (out Word) {
	for i := range out {
		x, y, z := h.constantLast(a[i], b[i], c[i])
		if h.constant(z) {
			out[i] = h.xor2(h.xor2(x, y), z)
			continue
		}
		s := h.api.Add(x, y, z)
		out[i] = h.api.Mul(h.half, h.api.Sub(s, h.quotient(s)))
	}
	return out
}

// majority returns the majority of three words, one constraint a bit.
func (h *Hasher) majority(a, b, c Word) (out Word) {
	for i := range out {
		x, y, z := h.constantLast(a[i], b[i], c[i])
		if h.constant(z) {
			// x and y for a zero, x or y for a one
			both := h.api.Mul(x, y)
			out[i] = h.api.Add(both, h.api.Mul(z, h.api.Sub(h.api.Add(x, y), h.api.Mul(2, both))))
			continue
		}
		s := h.api.Add(x, y, z)
		out[i] = h.api.Mul(h.quarter, h.api.Add(s, h.quotient(s)))
	}
	return out
}

// choose returns f where e is one and g where it is zero.
func (h *Hasher) choose(e, f, g Word) (out Word) {
	for i := range out {
		out[i] = h.api.Add(h.api.Mul(e[i], h.api.Sub(f[i], g[i])), g[i])
	}
	return out
}

// quotient returns s/(2s − 3), where s is a sum of three bits: one constraint.
func (h *Hasher) quotient(s frontend.Variable) frontend.Variable {
	return h.api.DivUnchecked(s, h.api.Sub(h.api.Mul(2, s), 3))
}

// constantLast orders three bits so that the last is a constant if one of them is.
func (h *Hasher) constantLast(a, b, c frontend.Variable) (x, y, z frontend.Variable) {
	switch {
	case h.constant(c):
		return a, b, c
	case h.constant(b):
		return a, c, b
	case h.constant(a):
		return b, c, a
	}
	return a, b, c
}

func (h *Hasher) constant(v frontend.Variable) bool {
	_, is := h.api.Compiler().ConstantValue(v)
	return is
}

// inverse returns 1/n in the field of the circuit.
func inverse(api frontend.API, n int64) *big.Int {
	return new(big.Int).ModInverse(big.NewInt(n), api.Compiler().Field())
}
