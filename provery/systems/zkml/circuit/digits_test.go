package circuit

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/gadgettest"
)

// gadget is a circuit of one gadget: Y is what it gives for X. It states nothing else.
type gadget struct {
	X, Y   []frontend.Variable
	define func(b *builder, x []frontend.Variable) []frontend.Variable
}

func (c *gadget) Define(api frontend.API) error {
	b := newBuilder(api)
	for i, y := range c.define(b, c.X) {
		api.AssertIsEqual(c.Y[i], y)
	}
	return b.err
}

// try says of numbers, by scheme, whether the gadget accepts them as x and y.
type try func(scheme string, x, y []int64, options ...solver.Option) bool

func of(t *testing.T, count, made int, define func(b *builder, x []frontend.Variable) []frontend.Variable) try {
	t.Helper()
	empty := &gadget{make([]frontend.Variable, count), make([]frontend.Variable, made), define}
	systems := map[string]func(frontend.Circuit, ...solver.Option) error{}
	for scheme := range builders {
		system := compile(t, scheme, empty)
		systems[scheme] = func(c frontend.Circuit, options ...solver.Option) error {
			return gadgettest.Solve(t, system, c, options...)
		}
	}
	return func(scheme string, x, y []int64, options ...solver.Option) bool {
		c := &gadget{X: variables(elements(integers(x))), Y: variables(elements(integers(y)))}
		return systems[scheme](c, options...) == nil
	}
}

// All numbers of digits of each width, and the numbers next to them, as digits and no digits.
func TestDigits(t *testing.T) {
	for width := 1; width <= 3; width++ {
		check := of(t, 1, 0, func(b *builder, x []frontend.Variable) []frontend.Variable {
			if b.gates == nil && width > 1 {
				b.AssertIsEqual(0, x[0]) // sums of bits: there are no wide digits
				return nil
			}
			b.assertDigit(x[0], width)
			return nil
		})
		for n := int64(-20); n < 40; n++ {
			if got, want := check("plonk", []int64{n}, nil), n >= 0 && n < 1<<width; got != want {
				t.Errorf("%d as a digit of %d bits: %v", n, width, got)
			}
		}
	}
}

func narrow(low, high int64) interval { return interval{big.NewInt(low), big.NewInt(high)} }

// Rescaling and rectifying give what is true and nothing else, for every number of an interval.
func TestRescale(t *testing.T) {
	for _, in := range []interval{narrow(-37, 50), narrow(0, 63), narrow(-64, 0), narrow(-64, -40), narrow(30, 95), narrow(-1, 1), narrow(5, 6), narrow(-128, 127)} {
		for bits := range 5 {
			rescaled := of(t, 1, 1, func(b *builder, x []frontend.Variable) []frontend.Variable {
				return []frontend.Variable{b.rescale(x[0], in, bits)}
			})
			rectified := of(t, 1, 1, func(b *builder, x []frontend.Variable) []frontend.Variable {
				return []frontend.Variable{b.rectify(x[0], in, bits)}
			})
			for x := in.low.Int64(); x <= in.high.Int64(); x++ {
				want := rescale(big.NewInt(x), bits).Int64()
				for scheme := range builders {
					for y := want - 1; y <= want+1; y++ {
						if got := rescaled(scheme, []int64{x}, []int64{y}); got != (y == want) {
							t.Errorf("%s: %d by 2^%d is %d: %v, in %v to %v", scheme, x, bits, y, got, in.low, in.high)
						}
						if got := rectified(scheme, []int64{x}, []int64{y}); got != (y == max(0, want)) {
							t.Errorf("%s: %d by 2^%d rectified is %d: %v, in %v to %v", scheme, x, bits, y, got, in.low, in.high)
						}
					}
				}
			}
		}
	}
}

// moved has splitHint answer as it does, with so much more in one place of the digits, by value, and less in another: the
// digits still add up to the number.
func moved(from, to int, by int64) solver.Option {
	return solver.OverrideHint(solver.GetHintID(splitHint), func(field *big.Int, inputs, outputs []*big.Int) error {
		if err := splitHint(field, inputs, outputs); err != nil {
			return err
		}
		at := make([]uint, len(outputs)+1)
		for i := range outputs {
			at[i+1] = at[i] + uint(inputs[2+i].Uint64())
		}
		to, from := (to+len(outputs))%len(outputs), (from+len(outputs))%len(outputs)
		outputs[to].Add(outputs[to], big.NewInt(by))
		less := new(big.Int).Mul(big.NewInt(by), new(big.Int).Lsh(big.NewInt(1), at[to]))
		less.Mul(less, new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), at[from]), field))
		outputs[from].Sub(outputs[from], less).Mod(outputs[from], field)
		return nil
	})
}

// Quotients, remainders and signs that add up to the number all the same, and are not its.
func TestForgedDigits(t *testing.T) {
	in := narrow(-1<<20, 1<<20)
	rescaled := of(t, 1, 1, func(b *builder, x []frontend.Variable) []frontend.Variable {
		return []frontend.Variable{b.rescale(x[0], in, 6)}
	})
	rectified := of(t, 1, 1, func(b *builder, x []frontend.Variable) []frontend.Variable {
		return []frontend.Variable{b.rectify(x[0], in, 6)}
	})
	for scheme := range builders {
		for _, x := range []int64{-70000, -65, -1, 0, 31, 32, 64, 700, 70000} {
			want := rescale(big.NewInt(x), 6).Int64()
			if !rescaled(scheme, []int64{x}, []int64{want}) || !rectified(scheme, []int64{x}, []int64{max(0, want)}) {
				t.Fatalf("%s: %d is refused", scheme, x)
			}
			// the quotient one more, and the remainder 2^6 less, and the like
			for _, by := range []int64{-1, 1} {
				for to := range 4 {
					for from := range 3 {
						if to == from {
							continue
						}
						for y := want - 2; y <= want+2; y++ {
							if y != want && rescaled(scheme, []int64{x}, []int64{y}, moved(from, to, by)) {
								t.Errorf("%s: %d rescaled is %d with forged digits", scheme, x, y)
							}
						}
					}
				}
				// the sign flipped, and the value made up for elsewhere
				for from := range 5 {
					for _, y := range []int64{0, want, -want, want + 1<<14, want - 1<<14, want + 1<<15, want - 1<<15} {
						if y != max(0, want) && rectified(scheme, []int64{x}, []int64{y}, moved(from, -1, by)) {
							t.Errorf("%s: %d rectified is %d with a forged sign", scheme, x, y)
						}
					}
				}
			}
		}
	}
}

// Values of neighbours, of other pieces and of the ends are refused, and so is a place in another piece.
func TestTables(t *testing.T) {
	table := &Table{Low: -12, Step: 2, Values: []int64{5, -3, 20, 21, 90, 70, 71, -30, 4}}
	one := &Table{Low: -12, Step: 0, Values: []int64{5, -3, 20, 21, 90}}
	for _, tab := range []*Table{table, one} {
		for _, in := range []interval{narrow(-60, 70), narrow(-12, 19), narrow(-5, 6), narrow(-30, 0), narrow(0, 60), narrow(-12, 20), narrow(30, 40), narrow(-40, -20), narrow(-13, -12), narrow(19, 20)} {
			lookup := of(t, 1, 1, func(b *builder, x []frontend.Variable) []frontend.Variable {
				return []frontend.Variable{b.lookup(x[0], in, tab)}
			})
			for x := in.low.Int64(); x <= in.high.Int64(); x++ {
				want := tab.at(big.NewInt(x)).Int64()
				for scheme := range builders {
					for _, y := range append([]int64{want, want + 1, want - 1}, tab.Values...) {
						if got := lookup(scheme, []int64{x}, []int64{y}); got != (y == want) {
							t.Errorf("%s: %d gives %d: %v, in %v to %v", scheme, x, y, got, in.low, in.high)
						}
						for k := 0; k < 8 && y != want; k++ {
							if lookup(scheme, []int64{x}, []int64{y}, moved(k, (k+1+k/3), 1-int64(k%2)*2)) {
								t.Errorf("%s: %d gives %d with forged digits", scheme, x, y)
							}
						}
					}
				}
			}
		}
	}
}

// The largest of a window, the second largest, and one more.
func TestLargest(t *testing.T) {
	n := &Node{Op: "maxpool", In: []int{0}, Length: 1, window: &window{channels: 1, outputs: 1, groups: 1, kernel: [2]int{2, 2}, strides: [2]int{1, 1},
		dilations: [2]int{1, 1}, size: [2]int{2, 2}, made: [2]int{1, 1}}}
	in := []interval{narrow(-8, 7), narrow(-3, 30), narrow(0, 1), narrow(-50, 9)}
	pool := of(t, 4, 1, func(b *builder, x []frontend.Variable) []frontend.Variable {
		return []frontend.Variable{b.largest(n, 0, x, in)}
	})
	for scheme := range builders {
		for _, x := range [][]int64{{-8, -3, 0, -50}, {7, 30, 1, 9}, {7, -3, 0, 7}, {1, 1, 1, 1}, {-1, -2, 0, 9}, {5, 4, 1, -50}} {
			most := max(x[0], x[1], x[2], x[3])
			for _, y := range append([]int64{most - 1, most, most + 1}, x...) {
				if got := pool(scheme, x, []int64{y}); got != (y == most) {
					t.Errorf("%s: the largest of %v is %d: %v", scheme, x, y, got)
				}
				for to := range 5 {
					if y != most && pool(scheme, x, []int64{y}, moved(0, to+1, 1)) || y != most && pool(scheme, x, []int64{y}, moved(0, to+1, -1)) {
						t.Errorf("%s: the largest of %v is %d with forged digits", scheme, x, y)
					}
				}
			}
		}
	}
}

// Shares one more or less, of another maximum, and of a forged division.
func TestSoftmax(t *testing.T) {
	table := &Table{Step: 2, Values: []int64{64, 40, 20, 9, 3, 1, 1, 0, 0}}
	in, scale := narrow(0, 60), 6
	softmax := of(t, 3, 3, func(b *builder, x []frontend.Variable) []frontend.Variable { return b.softmax(x, in, table, scale) })
	g := &Graph{Scale: scale}
	override := func(hint solver.Hint, change func(inputs, outputs []*big.Int)) solver.Option {
		return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
			if err := hint(field, inputs, outputs); err != nil {
				return err
			}
			change(inputs, outputs)
			return nil
		})
	}
	forged := map[string]solver.Option{
		"share one more": override(shareHint, func(inputs, outputs []*big.Int) {
			outputs[0].Add(outputs[0], big.NewInt(1))
			outputs[1].Sub(outputs[1], inputs[1])
		}),
		"share one less": override(shareHint, func(inputs, outputs []*big.Int) {
			outputs[0].Sub(outputs[0], big.NewInt(1))
			outputs[1].Add(outputs[1], inputs[1])
		}),
		"maximum one more": override(largestHint, func(_, outputs []*big.Int) { outputs[0].Add(outputs[0], big.NewInt(1)) }),
		"another maximum":  override(largestHint, func(inputs, outputs []*big.Int) { outputs[0].Set(inputs[0]) }),
	}
	for _, x := range [][]int64{{0, 0, 0}, {5, 60, 0}, {-30, 20, 30}, {1, 2, 3}} {
		made := make([]*big.Int, 3)
		g.evaluateSoftmax(&Node{Table: table}, integers(x), made)
		want := []int64{made[0].Int64(), made[1].Int64(), made[2].Int64()}
		for scheme := range builders {
			if !softmax(scheme, x, want) {
				t.Errorf("%s: the shares of %v are refused", scheme, x)
			}
			for k := range 6 {
				y := append([]int64{}, want...)
				y[k/2] += int64(1 - k%2*2)
				names := map[string][]solver.Option{"no forged hint": nil}
				for name, option := range forged {
					names[name] = []solver.Option{option}
				}
				for name, options := range names {
					if softmax(scheme, x, y, options...) {
						t.Errorf("%s: %v are the shares of %v, with %s", scheme, y, x, fmt.Sprint(name))
					}
				}
			}
		}
	}
}
