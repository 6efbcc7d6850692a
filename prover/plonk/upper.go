package plonk

import "github.com/consensys/gnark-crypto/ecc/bn254/fr"

// upperCoefficients are those of the quotient from 3n on. They are the numerator's from 4n on, to which its only terms
// of degree 4n+5 contribute, those of the permutation. Only the last few coefficients of each factor count.
func (p *prover) upperCoefficients() (top [upper]fr.Element) {
	// last returns a factor's coefficients from a degree downwards
	last := func(degree int, coefficient func(j int) fr.Element) (out [upper]fr.Element) {
		for i := range out {
			if j := degree - i; j >= 0 {
				out[i] = coefficient(j)
			}
		}
		return out
	}
	multiply := func(a, b [upper]fr.Element) (out [upper]fr.Element) {
		var t fr.Element
		for i := range a {
			for j := range upper - i {
				out[i+j].Add(&out[i+j], t.Mul(&a[i], &b[j]))
			}
		}
		return out
	}
	shifted := last(p.n+2, func(j int) fr.Element {
		at := power(&p.domain.Generator, j)
		return *at.Mul(&at, &p.z[j])
	})
	identity := last(p.n+2, func(j int) fr.Element { return p.z[j] })
	shift := p.drawn.beta
	for i := range p.wires {
		wire := func(j int) fr.Element {
			value := p.wires[i][j]
			if j == 0 {
				value.Add(&value, &p.drawn.gamma)
			}
			return value
		}
		shifted = multiply(shifted, last(p.n+1, func(j int) fr.Element {
			value := wire(j)
			if j < p.n {
				var t fr.Element
				value.Add(&value, t.Mul(&p.key.columns[s1+i][j], &p.drawn.beta))
			}
			return value
		}))
		identity = multiply(identity, last(p.n+1, func(j int) fr.Element {
			value := wire(j)
			if j == 1 {
				value.Add(&value, &shift)
			}
			return value
		}))
		shift.Mul(&shift, &p.domain.FrMultiplicativeGen)
	}
	for t := upper - 1; t >= 0; t-- {
		i := upper - 1 - t
		top[t].Sub(&shifted[i], &identity[i]).Mul(&top[t], &p.drawn.alpha)
		// in the smallest domains the quotient times Xⁿ and the quotient overlap up here
		if p.n+t < upper {
			top[t].Add(&top[t], &top[p.n+t])
		}
	}
	return top
}

// join turns the quotient's remainders modulo Xⁿ − shiftⁿ, which q holds one after another, into its coefficients.
func (p *prover) join(q []fr.Element, shifts []fr.Element, top [upper]fr.Element) {
	n := p.n
	var y [cosets]fr.Element
	for i := range y {
		y[i] = power(&shifts[i], n)
		for t := range top {
			at := power(&y[i], cosets+t/n)
			at.Mul(&at, &top[t])
			into := &q[i*n+t%n]
			into.Sub(into, &at)
		}
	}
	// row k, column i: the coefficient of Yᵏ in Π_{j≠i} (Y−yⱼ)/(yᵢ−yⱼ)
	var inverse [cosets][cosets]fr.Element
	for i := range y {
		a, b := y[(i+1)%cosets], y[(i+2)%cosets]
		var scale, t fr.Element
		scale.Sub(&y[i], &a).Mul(&scale, t.Sub(&y[i], &b)).Inverse(&scale)
		inverse[0][i].Mul(&a, &b).Mul(&inverse[0][i], &scale)
		inverse[1][i].Add(&a, &b).Neg(&inverse[1][i]).Mul(&inverse[1][i], &scale)
		inverse[2][i] = scale
	}
	parallel(n, p.threads, func(lo, hi int) {
		var t fr.Element
		for j := lo; j < hi; j++ {
			var out [cosets]fr.Element
			for k := range out {
				for i := range cosets {
					out[k].Add(&out[k], t.Mul(&inverse[k][i], &q[i*n+j]))
				}
			}
			for k := range out {
				q[k*n+j] = out[k]
			}
		}
	})
	copy(q[cosets*n:], top[:])
}
