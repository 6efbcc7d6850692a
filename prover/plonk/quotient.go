package plonk

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"github.com/consensys/gnark/constraint"
)

const (
	// cosets is how many cosets of the domain the quotient is interpolated from; upper is how many coefficients it has
	// beyond that.
	cosets = 3
	upper  = 6
)

// quotient returns the coefficients of (gates + α·(permutation) + α²·(z−1)·L₀)/(Xⁿ−1): 3n+6 of them.
func (p *prover) quotient(info constraint.PlonkCommitments) ([]fr.Element, error) {
	constants := p.constants(info)
	for i := range p.wires {
		p.interpolate(p.wires[i])
	}
	p.interpolate(p.z)
	for i := range p.committed {
		p.interpolate(p.committed[i])
	}
	top := p.upperCoefficients()
	q := make([]fr.Element, cosets*p.n+upper)
	c := p.newCoset()
	shifts, err := p.shifts()
	if err != nil {
		return nil, err
	}
	for i := range shifts {
		c.number = i
		c.divide(constants, &shifts[i], q[i*p.n:(i+1)*p.n])
	}
	p.join(q, shifts, top)
	return q, nil
}

// shifts are those of the cosets: g, g·w and g·w² with w a root of unity of order 4n. Their nth powers differ, and none
// is 1.
func (p *prover) shifts() ([]fr.Element, error) {
	wide, err := fr.Generator(4 * uint64(p.n))
	if err != nil {
		return nil, err
	}
	out := []fr.Element{p.domain.FrMultiplicativeGen}
	for len(out) < cosets {
		var next fr.Element
		out = append(out, *next.Mul(&out[len(out)-1], &wide))
	}
	return out, nil
}

// constants are the coefficients of qk with the public values, and the values of commitments, in it.
func (p *prover) constants(info constraint.PlonkCommitments) []fr.Element {
	values := make([]fr.Element, p.n)
	copy(values, p.public)
	for i := range info {
		values[len(p.public)+info[i].CommitmentIndex] = p.hashed[i]
	}
	p.interpolate(values)
	column := p.key.columns[qk]
	parallel(p.n, p.threads, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			values[i].Add(&values[i], &column[i])
		}
	})
	return values
}

// coset is memory for the work on one coset. Values are in bit-reversed order: value k is at shift·ωⁱ with i the
// reverse of k.
type coset struct {
	*prover
	number            int
	roots             []fr.Element // ωⁱ
	wires             [3][]fr.Element
	z, product, other []fr.Element
}

func (p *prover) newCoset() *coset {
	c := &coset{prover: p}
	if p.key.wide != nil {
		c.roots = p.key.wide.reversed
	} else {
		c.roots = p.powersOfRoot()
		fft.BitReverse(c.roots)
	}
	for _, into := range []*[]fr.Element{&c.wires[0], &c.wires[1], &c.wires[2], &c.z, &c.product, &c.other} {
		*into = make([]fr.Element, p.n)
	}
	return c
}

// evaluate computes a polynomial's values on a coset. Of coefficients beyond the domain's size there are a few at most.
func (c *coset) evaluate(polynomial []fr.Element, shift *fr.Element, into []fr.Element) {
	parallel(c.n, c.threads, func(lo, hi int) {
		scale := power(shift, lo)
		for i := lo; i < hi; i++ {
			into[i].Mul(&polynomial[i], &scale)
			scale.Mul(&scale, shift)
		}
	})
	for i := c.n; i < len(polynomial); i++ {
		term := power(shift, i)
		term.Mul(&term, &polynomial[i])
		into[i%c.n].Add(&into[i%c.n], &term)
	}
	c.domain.FFT(into, fft.DIF, fft.WithNbTasks(c.threads))
}

// each calls work for every value, on several threads.
func (c *coset) each(work func(k int)) {
	parallel(c.n, c.threads, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			work(k)
		}
	})
}

// divide writes into out the remainder of the quotient modulo Xⁿ − shiftⁿ.
func (c *coset) divide(constants []fr.Element, shift *fr.Element, out []fr.Element) {
	for i := range c.wires {
		c.evaluate(c.prover.wires[i], shift, c.wires[i])
	}
	l, r, o := c.wires[0], c.wires[1], c.wires[2]
	c.evaluate(c.prover.z, shift, c.z)
	column := func(i int) []fr.Element {
		if c.key.wide != nil {
			copy(c.other, c.key.wide.columns[c.number][i])
		} else {
			c.evaluate(c.key.columns[i], shift, c.other)
		}
		return c.other
	}

	// gates
	c.evaluate(constants, shift, out)
	for i, wire := range [][]fr.Element{ql: l, qr: r, qo: o} {
		if wire != nil {
			selector := column(i)
			c.each(func(k int) {
				selector[k].Mul(&selector[k], &wire[k])
				out[k].Add(&out[k], &selector[k])
			})
		}
	}
	selector := column(qm)
	c.each(func(k int) {
		selector[k].Mul(&selector[k], &l[k]).Mul(&selector[k], &r[k])
		out[k].Add(&out[k], &selector[k])
	})
	for i := range c.committed {
		selector := column(fixedColumns + i)
		c.evaluate(c.committed[i], shift, c.product)
		c.each(func(k int) {
			selector[k].Mul(&selector[k], &c.product[k])
			out[k].Add(&out[k], &selector[k])
		})
	}

	// permutation: z(ωX)·Π (wᵢ+β·sᵢ+γ) − z(X)·Π (wᵢ+β·uⁱ·X+γ)
	reverse := 64 - bits.TrailingZeros(uint(c.n))
	c.each(func(k int) {
		next := bits.Reverse64(uint64(k))>>reverse + 1
		c.product[k] = c.z[bits.Reverse64(next&uint64(c.n-1))>>reverse]
	})
	for i, wire := range [][]fr.Element{l, r, o} {
		s := column(s1 + i)
		c.each(func(k int) {
			s[k].Mul(&s[k], &c.drawn.beta).Add(&s[k], &wire[k]).Add(&s[k], &c.drawn.gamma)
			c.product[k].Mul(&c.product[k], &s[k])
		})
	}

	// together with α²·(z−1)·L₀, where L₀(X) = (Xⁿ−1)/(n·(X−1)), divided by Xⁿ−1, which is the same everywhere here
	one := fr.One()
	vanishing := power(shift, c.n)
	vanishing.Sub(&vanishing, &one).Inverse(&vanishing)
	var first, ids fr.Element
	first.Square(&c.drawn.alpha).Mul(&first, &c.domain.CardinalityInv)
	ids.Mul(&c.drawn.beta, shift)
	parallel(c.n, c.threads, func(lo, hi int) {
		c.invertDistances(shift, lo, hi)
		var identity, t, id fr.Element
		for k := lo; k < hi; k++ {
			id.Mul(&c.roots[k], &ids)
			identity = c.z[k]
			for _, wire := range [][]fr.Element{l, r, o} {
				t.Add(&wire[k], &id).Add(&t, &c.drawn.gamma)
				identity.Mul(&identity, &t)
				id.Mul(&id, &c.domain.FrMultiplicativeGen)
			}
			t.Sub(&c.product[k], &identity).Mul(&t, &c.drawn.alpha)
			out[k].Add(&out[k], &t).Mul(&out[k], &vanishing)
			t.Sub(&c.z[k], &one).Mul(&t, &first).Mul(&t, &c.other[k])
			out[k].Add(&out[k], &t)
		}
	})
	c.domain.FFTInverse(out, fft.DIT, fft.WithNbTasks(c.threads))
	var back fr.Element
	back.Inverse(shift)
	parallel(c.n, c.threads, func(lo, hi int) {
		scale := power(&back, lo)
		for i := lo; i < hi; i++ {
			out[i].Mul(&out[i], &scale)
			scale.Mul(&scale, &back)
		}
	})
}

// invertDistances writes 1/(X−1) into other.
func (c *coset) invertDistances(shift *fr.Element, lo, hi int) {
	if c.key.wide != nil {
		copy(c.other[lo:hi], c.key.wide.inverses[c.number][lo:hi])
		return
	}
	one := fr.One()
	for k := lo; k < hi; k++ {
		c.other[k].Mul(&c.roots[k], shift).Sub(&c.other[k], &one)
	}
	// the wires' values are still needed: invert in steps that leave their memory alone
	var scratch [1 << 10]fr.Element
	for at := lo; at < hi; at += len(scratch) {
		end := min(at+len(scratch), hi)
		invert(c.other[at:end], scratch[:end-at])
	}
}
