package circuit

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// builder builds a circuit with as few constraints as the proof system allows: in PLONK a sum of two is a gate, and so is
// a bilinear form of two; in R1CS sums are free.
type builder struct {
	frontend.API
	// gates is the interface of PLONK's builder, nil for R1CS.
	gates frontend.PlonkAPI
	err   error
}

func newBuilder(api frontend.API) *builder {
	gates, _ := api.(frontend.PlonkAPI)
	return &builder{API: api, gates: gates}
}

// part is one of the parts that a number is cut into: so many bits of it, and what is added to them.
type part struct {
	bits int
	plus *big.Int
}

// hint asks the solver.
func (b *builder) hint(f func(*big.Int, []*big.Int, []*big.Int) error, count int, inputs ...frontend.Variable) []frontend.Variable {
	out, err := b.Compiler().NewHint(f, count, inputs...)
	if err != nil {
		b.fail(err)
		out = make([]frontend.Variable, count)
		for i := range out {
			out[i] = 0
		}
	}
	return out
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// cut returns parts of x, lowest first, such that x is Σ 2^(bits below it)·part, each part its digits and its plus. It
// states that there are such digits. They are unique: all bits together are fewer than the field has, see check.
//
// Cost of n bits: PLONK 4/3·n gates, see assertDigit; R1CS n+1 constraints.
func (b *builder) cut(x frontend.Variable, parts ...part) []frontend.Variable {
	var widths []int
	total, offset := 0, new(big.Int)
	for _, p := range parts {
		if p.plus != nil {
			offset.Sub(offset, new(big.Int).Lsh(p.plus, uint(total)))
		}
		widths = append(widths, b.widths(p.bits)...)
		total += p.bits
	}
	out := make([]frontend.Variable, len(parts))
	if total > fr.Bits-2 {
		b.fail(fmt.Errorf("a number of %d bits is cut", total))
		return out
	}
	digits := b.digits(x, offset, widths)
	var terms []frontend.Variable
	below := 0
	for i, p := range parts {
		sum := []frontend.Variable{new(big.Int)}
		if p.plus != nil {
			sum[0] = p.plus
		}
		at := 0
		for k, width := range b.widths(p.bits) {
			sum = append(sum, b.Mul(digits[k], power(at)))
			at += width
		}
		digits = digits[len(sum)-1:]
		out[i] = b.sum(sum)
		terms = append(terms, b.Mul(out[i], power(below)))
		below += p.bits
	}
	b.assertSum(terms, x)
	return out
}

// widths are the bits of the digits that so many bits are cut into: of three in PLONK, and one digit of the bits left.
func (b *builder) widths(bits int) []int {
	if b.gates == nil {
		return slices.Repeat([]int{1}, bits)
	}
	out := slices.Repeat([]int{3}, bits/3)
	if bits%3 > 0 {
		out = append(out, bits%3)
	}
	return out
}

func (b *builder) sum(of []frontend.Variable) frontend.Variable {
	if len(of) == 1 {
		return of[0]
	}
	return b.Add(of[0], of[1], of[2:]...)
}

// digits returns those of x+offset, lowest first, and states their ranges.
func (b *builder) digits(x frontend.Variable, offset *big.Int, widths []int) []frontend.Variable {
	if len(widths) == 0 {
		return nil
	}
	inputs := []frontend.Variable{x, new(big.Int).Mod(offset, b.Compiler().Field())}
	out := b.hint(splitHint, len(widths), append(inputs, variablesOf(widths)...)...)
	for i, width := range widths {
		b.assertDigit(out[i], width)
	}
	return out
}

func variablesOf(numbers []int) []frontend.Variable {
	out := make([]frontend.Variable, len(numbers))
	for i, n := range numbers {
		out[i] = n
	}
	return out
}

// assertDigit states that d has so many bits. With u = d·(d−3), 0 to 3 are the zeros of u·(u+2); with u = d·(d−7), 0 to 7
// are those of u·(u+6)·(u+10)·(u+12), which is v² + 56·v − 64·u with v = u² + 14·u. So a digit of three bits takes three
// gates, and four with its place in a sum: 4/3 a bit, where single bits take two.
func (b *builder) assertDigit(d frontend.Variable, width int) {
	switch width {
	case 1:
		b.AssertIsBoolean(d)
	case 2:
		u := b.gate(d, d, -3, 0, 1, 0)
		b.gates.AddPlonkConstraint(u, u, u, 2, 0, 0, 1, 0)
	default:
		u := b.gate(d, d, -7, 0, 1, 0)
		v := b.gate(u, u, 14, 0, 1, 0)
		b.gates.AddPlonkConstraint(v, v, u, 56, 0, -64, 1, 0)
	}
}

// assertSum states that terms add up to x.
func (b *builder) assertSum(terms []frontend.Variable, x frontend.Variable) {
	var free []frontend.Variable
	constant := new(big.Int)
	for _, t := range terms {
		if c, is := b.Compiler().ConstantValue(t); is {
			constant.Add(constant, c)
		} else {
			free = append(free, t)
		}
	}
	last := len(free) - 1
	if _, is := b.Compiler().ConstantValue(x); b.gates == nil || last < 1 || is {
		b.AssertIsEqual(b.sum(append(free, constant)), x)
		return
	}
	// the last sum and its comparison are one gate
	b.gates.AddPlonkConstraint(b.sum(append(free[:last:last], constant)), free[last], x, 1, 1, -1, 0, 0)
}

// gate is l·x + r·y + m·x·y + c: one gate in PLONK, at most one constraint in R1CS.
func (b *builder) gate(x, y frontend.Variable, l, r, m, c int64) frontend.Variable {
	if b.gates != nil {
		return b.gates.EvaluatePlonkExpression(x, y, int(l), int(r), int(m), int(c))
	}
	terms := []frontend.Variable{b.Mul(x, l), b.Mul(y, r), c}
	if m != 0 {
		terms = append(terms, b.Mul(x, y, m))
	}
	return b.sum(terms)
}

// settle returns x as one variable where it is a long sum: in R1CS sums are carried along until they are multiplied.
func (b *builder) settle(x frontend.Variable) frontend.Variable {
	if _, constant := b.Compiler().ConstantValue(x); constant || b.gates != nil {
		return x
	}
	out := b.hint(sameHint, 1, x)[0]
	b.AssertIsEqual(out, x)
	return out
}

// rescale returns ⌊(x + 2^(bits−1)) / 2^bits⌋ of an x in an interval.
func (b *builder) rescale(x frontend.Variable, in interval, bits int) frontend.Variable {
	if bits == 0 {
		return x
	}
	low, high := rescale(in.low, bits), rescale(in.high, bits)
	width := new(big.Int).Sub(high, low).BitLen()
	if width == 0 {
		return low // the same for every number of the interval
	}
	// x = rest − 2^(bits−1) + 2^bits·quotient
	parts := b.cut(x, part{bits, new(big.Int).Neg(half(bits))}, part{width, low})
	return b.settle(parts[1])
}

// rectify returns max(0, ⌊(x + 2^(bits−1)) / 2^bits⌋) of an x in an interval. Quotient, remainder and sign come from one
// decomposition: x = rest − 2^(bits−1) + 2^bits·(above + 2^width·(sign−1)).
func (b *builder) rectify(x frontend.Variable, in interval, bits int) frontend.Variable {
	low, high := rescale(in.low, bits), rescale(in.high, bits)
	switch {
	case low.Sign() >= 0:
		return b.rescale(x, in, bits)
	case high.Sign() <= 0:
		return 0
	}
	// the numbers from −2^width to 2^width−1
	width := max(high.BitLen(), new(big.Int).Add(low, integer(1)).BitLen())
	plus := new(big.Int).Add(half(bits), power(bits+width))
	parts := b.cut(x, part{bits, plus.Neg(plus)}, part{width, nil}, part{1, nil})
	return b.settle(b.Mul(parts[1], parts[2]))
}
