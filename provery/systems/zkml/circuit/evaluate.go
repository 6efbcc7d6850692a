package circuit

import "math/big"

// Evaluate infers in integers, exactly as the circuit does; docs/zkml-circuit.md has the rules. The inputs must be within
// the graph's input bits. It returns the output tensor.
func (g *Graph) Evaluate(inputs []*big.Int) []*big.Int {
	tensors := [][]*big.Int{inputs}
	for _, n := range g.Nodes {
		made := make([]*big.Int, n.Length)
		if n.Op == "softmax" {
			for first := 0; first < n.Length; first += n.Group {
				g.evaluateSoftmax(n, tensors[n.In[0]][first:first+n.Group], made[first:first+n.Group])
			}
		} else {
			var terms []term
			for o := range made {
				made[o], terms = g.evaluate(n, o, tensors, terms[:0])
			}
		}
		tensors = append(tensors, made)
	}
	return tensors[g.Output]
}

// evaluate returns element o of a node, and terms, whose memory it has used.
func (g *Graph) evaluate(n *Node, o int, tensors [][]*big.Int, terms []term) (*big.Int, []term) {
	of := tensors[n.In[0]]
	out := new(big.Int)
	terms, plus, is := n.sum(o, terms)
	if is {
		out.SetInt64(plus)
		var product, by big.Int
		for _, t := range terms {
			out.Add(out, product.Mul(tensors[t.tensor][t.at], by.SetInt64(t.by)))
		}
	}
	switch n.Op {
	case "mul":
		out.Mul(of[o], tensors[n.In[1]][o])
	case "relu":
		out = positive(of[o])
	case "maxpool":
		for k, c := range n.window.cells(o, nil) {
			if k == 0 || of[c.at].Cmp(out) > 0 {
				out = of[c.at]
			}
		}
	case "table":
		out = n.Table.at(of[o])
	}
	if n.rescaled() {
		out = rescale(out, g.Scale)
	}
	return out, terms
}

// at is the table's value for x.
func (t *Table) at(x *big.Int) *big.Int {
	i := t.piece(x)
	if i == t.steps() {
		return integer(t.Values[i])
	}
	rest := positive(new(big.Int).Sub(x, integer(t.Low)))
	rest.Sub(rest, new(big.Int).Lsh(integer(int64(i)), uint(t.Step)))
	rest.Mul(rest, integer(t.Values[i+1]-t.Values[i]))
	rest = rescale(rest, t.Step)
	return rest.Add(rest, integer(t.Values[i]))
}

func (g *Graph) evaluateSoftmax(n *Node, of, made []*big.Int) {
	most := of[0]
	for _, x := range of {
		most = largest(most, x)
	}
	sum, shares := new(big.Int), make([]*big.Int, len(of))
	for i, x := range of {
		shares[i] = n.Table.at(new(big.Int).Sub(most, x))
		sum.Add(sum, shares[i])
	}
	twice := new(big.Int).Lsh(sum, 1)
	for i, share := range shares {
		above := new(big.Int).Lsh(share, uint(g.Scale+1))
		made[i] = above.Add(above, sum).Quo(above, twice)
	}
}
