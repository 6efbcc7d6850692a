package circuit

// term is an element of one of a node's tensors, times a constant.
type term struct {
	tensor, at int
	by         int64
}

// sum appends the terms of element o of a node that makes weighted sums, without those that are zero, and returns them
// with what is added to them. ok is false for other nodes.
func (n *Node) sum(o int, terms []term) (out []term, plus int64, ok bool) {
	add := func(at int, by int64) {
		if by != 0 {
			terms = append(terms, term{n.In[0], at, by})
		}
	}
	switch n.Op {
	case "dense":
		group, output := o/n.Outputs, o%n.Outputs
		for i := range n.Inputs {
			add(group*n.Inputs+i, n.Weights[output*n.Inputs+i])
		}
		plus = n.Bias[output]
	case "conv":
		channel := o / (n.window.made[0] * n.window.made[1])
		for _, c := range n.window.cells(o, nil) {
			add(c.at, n.Weights[channel*n.window.perOutput()+c.number])
		}
		plus = n.Bias[channel]
	case "avgpool":
		for _, c := range n.window.cells(o, nil) {
			add(c.at, n.Weights[o%len(n.Weights)])
		}
	case "affine":
		add(o, n.Weights[o])
		plus = n.Bias[o]
	case "shift":
		add(o, 1)
		plus = n.Bias[o]
	case "gather":
		add(n.Index[o], 1)
	case "add":
		terms = append(terms, term{n.In[0], o, 1}, term{n.In[1], o, 1})
	default:
		return terms, 0, false
	}
	return terms, plus, true
}
