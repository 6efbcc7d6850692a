package circuit

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
)

// lookup returns the table's value for an x in an interval. Bits of x − low are cut into the place within a piece, the
// piece's number, what is above the table, and the sign.
func (b *builder) lookup(x frontend.Variable, in interval, t *Table) frontend.Variable {
	low := integer(t.Low)
	in = interval{new(big.Int).Sub(in.low, low), new(big.Int).Sub(in.high, low)}
	inside := t.Step + t.bits()
	first, last := t.Values[0], t.Values[t.steps()]
	if in.high.Sign() < 0 {
		return first
	}
	if in.low.Cmp(power(inside)) >= 0 {
		return last
	}
	width := max(inside, in.high.BitLen(), in.low.BitLen())
	negative := in.low.Sign() < 0
	parts := []part{{0, low}, {t.Step, nil}}
	for range t.bits() {
		parts = append(parts, part{1, nil})
	}
	parts = append(parts, part{width - inside, nil})
	if negative {
		parts[0].plus = new(big.Int).Sub(low, power(width))
		parts = append(parts, part{1, nil})
	}
	cut := b.cut(x, parts...)
	rest, index, above := cut[1], cut[2:2+t.bits()], cut[2+t.bits()]

	y := b.piecewise(t, rest, index)
	over := in.high.BitLen() > inside
	switch {
	case over && negative:
		sign := cut[len(cut)-1]
		within := b.Mul(sign, b.none(above, width-inside))
		// last where neither below nor within
		y = b.gate(within, y, -last, 0, 1, 0)
		y = b.gate(y, sign, 1, last-first, 0, first)
	case over:
		y = b.gate(b.none(above, width-inside), y, -last, 0, 1, 0)
		y = b.Add(y, last)
	case negative:
		y = b.gate(cut[len(cut)-1], y, -first, 0, 1, first)
	}
	return b.settle(y)
}

// none is 1 if x, of so many bits, is 0, and else 0.
func (b *builder) none(x frontend.Variable, bits int) frontend.Variable {
	if bits == 1 {
		return b.Sub(1, x)
	}
	return b.IsZero(x)
}

// piecewise returns the value at a place within the piece whose number has the bits index.
func (b *builder) piecewise(t *Table, rest frontend.Variable, index []frontend.Variable) frontend.Variable {
	value := b.selected(index, t.Values[:t.steps()])
	if t.Step == 0 {
		return value
	}
	rises, least, most := make([]int64, t.steps()), int64(0), int64(0)
	for i := range rises {
		rises[i] = t.Values[i+1] - t.Values[i]
		least, most = min(least, rises[i]), max(most, rises[i])
	}
	// whatever the index, and whatever the place below 2^step
	in := interval{integer(least), integer(most)}.times(interval{new(big.Int), new(big.Int).Sub(power(t.Step), integer(1))})
	rise := b.Mul(b.selected(index, rises), rest)
	return b.Add(value, b.rescale(rise, in, t.Step))
}

// selected returns the one of 2^n constants whose number has the bits index: a multilinear form in them. The four
// constants of the lowest two bits are one gate; 3/4·2^n gates in all, 2^(n−1) constraints in R1CS.
func (b *builder) selected(index []frontend.Variable, from []int64) frontend.Variable {
	switch len(index) {
	case 0:
		return from[0]
	case 1:
		return b.Add(b.Mul(index[0], from[1]-from[0]), from[0])
	case 2:
		return b.gate(index[0], index[1], from[1]-from[0], from[2]-from[0], from[3]-from[2]-from[1]+from[0], from[0])
	}
	top, half := len(index)-1, len(from)/2
	change := make([]int64, half)
	for i := range change {
		change[i] = from[half+i] - from[i]
	}
	return b.Add(b.selected(index[:top], from[:half]), b.Mul(index[top], b.selected(index[:top], change)))
}
