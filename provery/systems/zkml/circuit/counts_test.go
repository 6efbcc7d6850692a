package circuit

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/poseidon"
)

// Counts of single operations, as docs/zkml-circuit.md has them; the gates that state the outcome are not counted.
func TestCounts(t *testing.T) {
	in := interval{new(big.Int).Neg(power(36)), power(36)}
	ramp := func(pieces int) *Table {
		values := make([]int64, pieces+1)
		for i := range values {
			values[i] = int64((i*i*i*2731 + i*977) % 4093) // of no degree: a smooth table would take less
		}
		return &Table{Low: -int64(pieces) << 7, Step: 8, Values: values}
	}
	cell := interval{new(big.Int).Neg(power(24)), power(24)}
	pool := &Node{Op: "maxpool", In: []int{0}, Length: 1, window: &window{channels: 1, outputs: 1, groups: 1, kernel: [2]int{1, 2}, strides: [2]int{1, 1},
		dilations: [2]int{1, 1}, size: [2]int{1, 2}, made: [2]int{1, 1}}}
	type define = func(b *builder, x []frontend.Variable) []frontend.Variable
	one := func(y frontend.Variable) []frontend.Variable { return []frontend.Variable{y} }
	for _, c := range []struct {
		name           string
		inputs         int
		groth16, plonk int
		define         define
	}{
		{"range of an input of 24 bits", 1, 26, 33, func(b *builder, x []frontend.Variable) []frontend.Variable { b.assertInput(x[0], 24); return nil }},
		{"weighted sum of 16", 16, 0, 15, func(b *builder, x []frontend.Variable) []frontend.Variable {
			for i := range x {
				x[i] = b.Mul(x[i], 3+i)
			}
			return one(b.sum(x))
		}},
		{"rescale by 12 of 37 bits", 1, 40, 50, func(b *builder, x []frontend.Variable) []frontend.Variable { return one(b.rescale(x[0], in, 12)) }},
		{"rescale and relu of 37 bits", 1, 41, 52, func(b *builder, x []frontend.Variable) []frontend.Variable { return one(b.rectify(x[0], in, 12)) }},
		{"relu of 25 bits", 1, 29, 37, func(b *builder, x []frontend.Variable) []frontend.Variable { return one(b.rectify(x[0], cell, 0)) }},
		{"maxpool of 2 of 25 bits", 2, 30, 40, func(b *builder, x []frontend.Variable) []frontend.Variable {
			return one(b.largest(pool, 0, x, []interval{cell, cell}))
		}},
		{"table of 64 of 25 bits", 1, 112, 166, func(b *builder, x []frontend.Variable) []frontend.Variable {
			return one(b.lookup(x[0], cell, ramp(64)))
		}},
		{"table of 256 of 25 bits", 1, 287, 455, func(b *builder, x []frontend.Variable) []frontend.Variable {
			return one(b.lookup(x[0], cell, ramp(256)))
		}},
		{"softmax of 4 of 25 bits, table of 64", 4, 673, 939, func(b *builder, x []frontend.Variable) []frontend.Variable {
			table := ramp(64)
			table.Low, table.Values[0] = 0, 4096
			return b.softmax(x, interval{integer(0), power(25)}, table, 12)
		}},
		{"hash of 15 numbers", 15, 555, 3047, func(b *builder, x []frontend.Variable) []frontend.Variable {
			hash, err := poseidon.Sum(b.API, hashTag, x...)
			if err != nil {
				b.fail(err)
			}
			return one(hash)
		}},
	} {
		for scheme, want := range map[string]int{"groth16": c.groth16, "plonk": c.plonk} {
			made := 0
			system := compile(t, scheme, &gadget{X: make([]frontend.Variable, c.inputs), Y: make([]frontend.Variable, 8), define: func(b *builder, x []frontend.Variable) []frontend.Variable {
				y := c.define(b, append([]frontend.Variable{}, x...))
				made = len(y)
				return y
			}})
			if got := system.GetNbConstraints() - made; got != want {
				t.Errorf("%s, %s: %d, expected %d", c.name, scheme, got, want)
			}
		}
	}
}
