package circuit

import (
	"fmt"
	"math/big"
	"slices"
)

// interval is where a number is, both ends included. Its numbers are never changed.
type interval struct{ low, high *big.Int }

// bounds are the intervals of a graph's numbers. They follow from the bits of inputs and the constants alone, and so hold
// for every inference: nothing in the circuit can wrap around the field's modulus, or be wider than its digits.
type bounds struct {
	// tensors has an interval for each element; sums for each element of a node that is rescaled: of the sum, without
	// what rounding adds.
	tensors [][]interval
	sums    [][]interval
}

func integer(n int64) *big.Int { return big.NewInt(n) }

// power is 2^n.
func power(n int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(n)) }

// half is what rounding adds to a number before its lowest bits are cut off.
func half(bits int) *big.Int {
	if bits == 0 {
		return new(big.Int)
	}
	return power(bits - 1)
}

// rescale is ⌊(n + 2^(bits−1)) / 2^bits⌋.
func rescale(n *big.Int, bits int) *big.Int {
	out := new(big.Int).Add(n, half(bits))
	return out.Rsh(out, uint(bits)) // rounds towards −∞
}

func (i interval) each(f func(n *big.Int) *big.Int) interval { return interval{f(i.low), f(i.high)} }

// scaled is where by·n is.
func (i interval) scaled(by *big.Int) interval {
	out := i.each(func(n *big.Int) *big.Int { return new(big.Int).Mul(n, by) })
	if by.Sign() < 0 {
		out.low, out.high = out.high, out.low
	}
	return out
}

func (i interval) plus(other interval) interval {
	return interval{new(big.Int).Add(i.low, other.low), new(big.Int).Add(i.high, other.high)}
}

// times is where a product is.
func (i interval) times(other interval) interval {
	return hull(i.scaled(other.low), i.scaled(other.high))
}

// hull is the least interval that has all of some.
func hull(all ...interval) interval {
	out := all[0]
	for _, one := range all[1:] {
		if one.low.Cmp(out.low) < 0 {
			out.low = one.low
		}
		if one.high.Cmp(out.high) > 0 {
			out.high = one.high
		}
	}
	return out
}

// fits tells whether the interval, and 2^scale times it, lie within the limit.
func (i interval) fits() bool { return i.low.CmpAbs(limit) <= 0 && i.high.CmpAbs(limit) <= 0 }

func (i interval) String() string {
	return fmt.Sprintf("a number of %d bits", max(i.low.BitLen(), i.high.BitLen()))
}

// boundsOf works the intervals out, and refuses a graph with a number that may reach 2^120.
func boundsOf(g *Graph) (*bounds, error) {
	b := &bounds{sums: make([][]interval, len(g.Nodes))}
	end := new(big.Int).Sub(power(g.InputBits), integer(1))
	b.tensors = [][]interval{slices.Repeat([]interval{{new(big.Int).Neg(end), end}}, g.Inputs())}
	for i, n := range g.Nodes {
		made := make([]interval, n.Length)
		if n.rescaled() {
			b.sums[i] = make([]interval, n.Length)
		}
		for o := range made {
			sum, out := b.element(g, n, o)
			if !sum.fits() || !out.fits() {
				return nil, fmt.Errorf("node %d (%s): element %d may be %v, at most 2^120 is allowed", i, n.Op, o, hull(sum, out))
			}
			if made[o] = out; n.rescaled() {
				b.sums[i][o] = sum
			}
		}
		b.tensors = append(b.tensors, made)
	}
	return b, nil
}

// element returns the interval of an element and of the greatest number on the way to it.
func (b *bounds) element(g *Graph, n *Node, o int) (on, out interval) {
	of := func(input, at int) interval { return b.tensors[n.In[input]][at] }
	if terms, plus, is := n.sum(o, nil); is {
		on = interval{integer(plus), integer(plus)}
		for _, t := range terms {
			on = on.plus(b.tensors[t.tensor][t.at].scaled(integer(t.by)))
		}
	} else {
		switch n.Op {
		case "mul":
			on = of(0, o).times(of(1, o))
		case "relu":
			on = of(0, o).each(positive)
		case "maxpool":
			for k, c := range n.window.cells(o, nil) {
				if one := of(0, c.at); k == 0 {
					on = one
				} else {
					on = interval{largest(on.low, one.low), largest(on.high, one.high)}
				}
			}
		case "table":
			return n.Table.span(), n.Table.image(of(0, o))
		case "softmax":
			return b.softmax(g, n, o)
		}
	}
	if n.rescaled() {
		return on, on.each(func(x *big.Int) *big.Int { return rescale(x, g.Scale) })
	}
	return on, on
}

func positive(n *big.Int) *big.Int { return largest(n, new(big.Int)) }

func largest(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

// softmax returns the interval of an element: a share of 2^scale.
func (b *bounds) softmax(g *Graph, n *Node, o int) (on, out interval) {
	t := b.distance(n, o/n.Group*n.Group)
	if !t.fits() {
		return t, t
	}
	e := n.Table.image(t)
	// 2·e·2^scale + S
	top := new(big.Int).Lsh(e.high, uint(g.Scale+1))
	top.Add(top, new(big.Int).Mul(e.high, integer(int64(n.Group))))
	return hull(n.Table.span(), interval{new(big.Int), top}), interval{new(big.Int), power(g.Scale)}
}

// distance is where the distances of a group's numbers from their maximum are.
func (b *bounds) distance(n *Node, first int) interval {
	all := hull(b.tensors[n.In[0]][first : first+n.Group]...)
	return interval{new(big.Int), new(big.Int).Sub(all.high, all.low)}
}

// span is where the table's numbers are, those on the way to its values included.
func (t *Table) span() interval {
	var most int64
	for i, height := range t.Values {
		most = max(most, height, -height)
		if i > 0 {
			most = max(most, height-t.Values[i-1], t.Values[i-1]-height)
		}
	}
	end := new(big.Int).Lsh(integer(most), uint(t.Step))
	return interval{new(big.Int).Neg(end), end}.plus(interval{new(big.Int), half(t.Step)})
}

// image is where the table's values for an interval are.
func (t *Table) image(x interval) interval {
	first, last := t.piece(x.low), min(t.piece(x.high)+1, t.steps())
	heights := t.Values[first : last+1]
	return interval{integer(slices.Min(heights)), integer(slices.Max(heights))}
}

// piece is the number of the piece that a number is in, after clamping: steps for one beyond the table.
func (t *Table) piece(x *big.Int) int {
	at := new(big.Int).Sub(x, integer(t.Low))
	at.Rsh(positive(at), uint(t.Step))
	if at.Cmp(integer(int64(t.steps()))) >= 0 {
		return t.steps()
	}
	return int(at.Int64())
}
