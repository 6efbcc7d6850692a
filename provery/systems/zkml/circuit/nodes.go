package circuit

import (
	"fmt"
	"math/bits"
)

// Node is one operation.
type Node struct {
	Op string
	// In are the tensors it takes, Length is how many elements it makes.
	In     []int
	Length int

	// Inputs and Outputs are the sizes of a dense layer, Group the length of what a softmax adds up over.
	Inputs, Outputs, Group int
	Weights, Bias          []int64
	Index                  []int
	Table                  *Table
	window                 *window
}

// Table is a function that is linear between values at Low, Low+2^Step, …; it is constant beyond them.
type Table struct {
	Low    int64
	Step   int
	Values []int64
}

const (
	maxStep   = 40
	maxCells  = 1 << 12
	maxHeight = 1 << 44
)

// steps is how many pieces the function has, bits the number of bits of a piece's number.
func (t *Table) steps() int { return len(t.Values) - 1 }
func (t *Table) bits() int  { return bits.TrailingZeros(uint(t.steps())) }

// arity is how many tensors an operation takes.
var arity = map[string]int{"dense": 1, "conv": 1, "affine": 1, "shift": 1, "add": 2, "mul": 2, "relu": 1, "maxpool": 1,
	"avgpool": 1, "table": 1, "softmax": 1, "gather": 1}

// rescaled says whether an operation's sums are at twice the scale.
func (n *Node) rescaled() bool {
	switch n.Op {
	case "dense", "conv", "affine", "avgpool", "mul":
		return true
	}
	return false
}

// decomposition is about how many gates it takes to cut a number into digits.
const decomposition = 64

// work is about how many gates a node takes.
func (n *Node) work() int64 {
	each := 1
	switch n.Op {
	case "dense":
		each = n.Inputs + decomposition
	case "conv", "avgpool":
		each = n.window.perOutput() + decomposition
	case "maxpool":
		each = n.window.perOutput() * decomposition
	case "affine", "mul", "relu":
		each = decomposition
	case "table":
		each = 2*decomposition + 2*n.Table.steps()
	case "softmax":
		each = 5*decomposition + 2*n.Table.steps()
	}
	return int64(n.Length) * int64(each)
}

// readNode reads node i. The node is not nil where there is an error: it has the operation's name.
func (g *Graph) readNode(i int, v *value) (*Node, error) {
	f, n := &fields{of: v}, &Node{}
	n.Op = f.text("op")
	count, known := arity[n.Op]
	if f.err == nil && !known {
		return n, fmt.Errorf("the operation is unknown")
	}
	n.In = f.within("in", count, 0, int64(i))
	n.Length = product(f.shape("shape"))
	if f.err != nil {
		return n, f.err
	}
	length, stated := g.Lengths[n.In[0]], n.Length
	made := length
	switch n.Op {
	case "dense":
		made = n.readDense(f, length)
	case "conv", "maxpool", "avgpool":
		made = n.readWindow(f, length)
	case "affine":
		n.Weights, n.Bias = f.exactly("weights", length), f.exactly("bias", length)
	case "shift":
		n.Bias = f.exactly("bias", length)
	case "add", "mul":
		if other := g.Lengths[n.In[1]]; other != length {
			return n, fmt.Errorf("its tensors have %d and %d elements", length, other)
		}
	case "table":
		n.Table = readTable(f)
		n.Table.Low = f.take("low", isNumber).number
	case "softmax":
		n.readSoftmax(f, length)
	case "gather":
		made = len(f.of.fieldNumbers("index"))
		n.Index = f.within("index", made, 0, int64(length)-1)
	}
	if err := f.done(); err != nil {
		return n, err
	}
	if made != stated || made == 0 {
		return n, fmt.Errorf("it makes %d elements, its shape has %d", made, stated)
	}
	return n, nil
}

// fieldNumbers is a field's numbers, none where it has another form.
func (v *value) fieldNumbers(name string) []int64 {
	if found := v.fields[name]; found != nil {
		return found.numbers
	}
	return nil
}

func (n *Node) readDense(f *fields, length int) int {
	n.Inputs, n.Outputs = f.whole("inputs", 1, maxElements), f.whole("outputs", 1, maxElements)
	if f.err == nil && length%n.Inputs != 0 {
		f.fail("its tensor has %d elements, which is no multiple of inputs, %d", length, n.Inputs)
	}
	if f.err == nil && n.Inputs > maxConstants/n.Outputs {
		f.fail("it has %d times %d weights, at most %d are taken", n.Inputs, n.Outputs, maxConstants)
	}
	if f.err != nil {
		return 0
	}
	n.Weights, n.Bias = f.exactly("weights", n.Inputs*n.Outputs), f.exactly("bias", n.Outputs)
	return length / n.Inputs * n.Outputs
}

// readTable reads step and values.
func readTable(f *fields) *Table {
	t := &Table{Step: f.whole("step", 0, maxStep), Values: f.numbers("values")}
	if f.err == nil && (len(t.Values) < 2 || len(t.Values) > maxCells+1 || bits.OnesCount(uint(t.steps())) != 1) {
		f.fail("values has %d numbers, expected one more than a power of two of at most %d", len(t.Values), maxCells)
	}
	for _, height := range t.Values {
		if f.err == nil && (height <= -maxHeight || height >= maxHeight) {
			f.fail("values has a %d, expected less than 2^44 in magnitude", height)
		}
	}
	return t
}

func (n *Node) readSoftmax(f *fields, length int) {
	n.Group = f.whole("length", 1, maxElements)
	inner := f.object("table")
	n.Table = readTable(inner)
	if err := inner.done(); f.err == nil && err != nil {
		f.fail("table: %v", err)
	}
	if f.err == nil && length%n.Group != 0 {
		f.fail("its tensor has %d elements, which is no multiple of length, %d", length, n.Group)
	}
	for i, height := range n.Table.Values {
		if f.err == nil && (height < 0 || i == 0 && height == 0) {
			f.fail("value %d of its table is %d, expected a positive first one and none below zero", i, height)
		}
	}
}
