package circuit

import (
	"github.com/consensys/gnark/frontend"
)

// infer states every node, and returns the output tensor.
func (b *builder) infer(g *Graph, inputs []frontend.Variable) []frontend.Variable {
	tensors := [][]frontend.Variable{inputs}
	fused := g.fused()
	for i, n := range g.Nodes {
		var made []frontend.Variable
		switch {
		case n.Op == "softmax":
			for first := 0; first < n.Length; first += n.Group {
				made = append(made, b.softmax(tensors[n.In[0]][first:first+n.Group], g.bounds.distance(n, first), n.Table, g.Scale)...)
			}
		case n.Op == "relu" && fused[n.In[0]]:
			made = tensors[n.In[0]] // rectified already
		default:
			made = make([]frontend.Variable, n.Length)
			var terms []term
			for o := range made {
				made[o], terms = b.element(g, i, o, tensors, terms[:0], fused[i+1])
			}
		}
		tensors = append(tensors, made)
	}
	return tensors[g.Output]
}

// fused says of each tensor whether it is rescaled and only rectified afterwards: both are then one decomposition.
func (g *Graph) fused() []bool {
	out := make([]bool, len(g.Lengths))
	for i, n := range g.Nodes {
		out[i+1] = n.rescaled()
	}
	out[g.Output] = false
	used := make([]bool, len(g.Lengths))
	for _, n := range g.Nodes {
		for _, at := range n.In {
			used[at] = true
			out[at] = out[at] && n.Op == "relu"
		}
	}
	for i := range out {
		out[i] = out[i] && used[i]
	}
	return out
}

// element returns element o of node i, rectified if fused, and terms, whose memory it has used.
func (b *builder) element(g *Graph, i, o int, tensors [][]frontend.Variable, terms []term, fused bool) (frontend.Variable, []term) {
	n := g.Nodes[i]
	of, in := tensors[n.In[0]], g.bounds.tensors[n.In[0]]
	var out frontend.Variable
	terms, plus, is := n.sum(o, terms)
	switch {
	case is:
		sum := []frontend.Variable{integer(plus)}
		for _, t := range terms {
			sum = append(sum, b.Mul(tensors[t.tensor][t.at], t.by))
		}
		out = b.sum(sum)
	case n.Op == "mul":
		out = b.Mul(of[o], tensors[n.In[1]][o])
	case n.Op == "relu":
		out = b.rectify(of[o], in[o], 0)
	case n.Op == "maxpool":
		out = b.largest(n, o, of, in)
	case n.Op == "table":
		out = b.lookup(of[o], in[o], n.Table)
	}
	switch {
	case fused:
		out = b.rectify(out, g.bounds.sums[i][o], g.Scale)
	case n.rescaled():
		out = b.rescale(out, g.bounds.sums[i][o], g.Scale)
	}
	return out, terms
}

// largest returns the largest cell of output o's window: of two, the second and what the first has more, if any.
func (b *builder) largest(n *Node, o int, of []frontend.Variable, in []interval) frontend.Variable {
	var out frontend.Variable
	var at interval
	for k, c := range n.window.cells(o, nil) {
		one := in[c.at]
		if k == 0 {
			out, at = of[c.at], one
			continue
		}
		more := b.rectify(b.Sub(of[c.at], out), one.plus(at.scaled(integer(-1))), 0)
		out = b.Add(out, more)
		at = interval{largest(at.low, one.low), largest(at.high, one.high)}
	}
	return out
}
