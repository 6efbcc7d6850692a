package groth16

import (
	"math/big"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
)

// quotient computes the scalars of the H points: the values of A·B − C on the coset of the evaluation domain
// that is shifted by the root of unity of twice the order. No division is needed: the H points are the
// Lagrange basis of the double domain at its odd places, where the vanishing polynomial is constant.
type quotient struct {
	domain *fft.Domain
	// shift holds gⁱ, shiftR gⁱ·R, both in Montgomery form and bit-reversed order
	shift, shiftR fr.Vector
}

func newQuotient(size int) (*quotient, error) {
	q := &quotient{domain: fft.NewDomain(uint64(size)), shift: make(fr.Vector, size), shiftR: make(fr.Vector, size)}
	g, err := fft.Generator(2 * uint64(size))
	if err != nil {
		return nil, err
	}
	var power, r fr.Element
	power.SetOne()
	r.SetBigInt(new(big.Int).Lsh(big.NewInt(1), 256))
	unused := 64 - bits.Len(uint(size-1))
	for i := range size {
		at := 0
		if size > 1 {
			at = int(bits.Reverse64(uint64(i)) >> unused)
		}
		q.shift[at] = power
		q.shiftR[at].Mul(&power, &r)
		power.Mul(&power, &g)
	}
	return q, nil
}

// compute overwrites a with the scalars, in normal form, given the values of A and B on the domain in normal
// form. b is overwritten too.
//
// Montgomery factors are carried along rather than converted: with normal a and b, a·b comes out divided by
// R, which the shift by shiftR restores for C; shifting A by shiftR puts it in Montgomery form, so that its
// product with the normal B is normal.
func (q *quotient) compute(a, b fr.Vector, threads int) {
	c := make(fr.Vector, len(a))
	c.Mul(a, b)
	tasks := fft.WithNbTasks(threads)
	for _, poly := range []struct{ values, shift fr.Vector }{{a, q.shiftR}, {b, q.shift}, {c, q.shiftR}} {
		q.domain.FFTInverse(poly.values, fft.DIF, tasks)
		poly.values.Mul(poly.values, poly.shift)
		q.domain.FFT(poly.values, fft.DIT, tasks)
	}
	a.Mul(a, b)
	a.Sub(a, c)
}
