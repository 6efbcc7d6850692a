package circuit

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
)

// softmax returns a group's shares of 2^scale, of numbers whose distances from their maximum lie in an interval.
//
// The maximum is a hint: that no number is greater follows from the distances having digits without a sign, and that it
// is one of them from the product of all distances being zero. Each share y of e in S is a hint too:
// 2·e·2^scale + S = y·2S + rest with 0 ≤ rest < 2S, which only ⌊(2·e·2^scale + S) / 2S⌋ fulfils, as y < 2^(scale+1) keeps
// both sides below the modulus.
func (b *builder) softmax(of []frontend.Variable, distance interval, t *Table, scale int) []frontend.Variable {
	if len(of) == 1 {
		return []frontend.Variable{power(scale)}
	}
	most := b.hint(largestHint, 1, of...)[0]
	var zero frontend.Variable = 1
	shares := make([]frontend.Variable, len(of))
	for i, x := range of {
		apart := b.Sub(most, x)
		zero = b.Mul(zero, apart)
		shares[i] = b.share(apart, distance, t)
	}
	b.AssertIsEqual(zero, 0)
	sum := b.settle(b.sum(shares))
	greatest := new(big.Int).Mul(t.image(distance).high, integer(2*int64(len(of))))
	width := greatest.BitLen()
	out := make([]frontend.Variable, len(of))
	for i, share := range shares {
		above := b.Add(b.Mul(share, power(scale+1)), sum)
		twice := b.Mul(sum, 2)
		found := b.hint(shareHint, 2, above, twice)
		b.cut(found[0], part{scale + 1, nil})
		b.cut(found[1], part{width, nil})
		b.cut(b.Sub(b.Sub(twice, found[1]), 1), part{width, nil})
		b.AssertIsEqual(b.Add(b.Mul(found[0], twice), found[1]), above)
		out[i] = found[0]
	}
	return out
}

// share is the table's value for a distance, which it states not to be negative.
func (b *builder) share(apart frontend.Variable, distance interval, t *Table) frontend.Variable {
	if distance.high.Sign() == 0 {
		return t.Values[0] // all numbers are the same constant
	}
	return b.lookup(apart, distance, t)
}
