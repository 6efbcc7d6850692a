package circuit

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
)

const (
	// Format is what a graph's document calls itself.
	Format = "provery-graph-1"
	// maxDocument bounds a graph's document, in bytes.
	maxDocument = 64 << 20
	maxNodes    = 4096
	// maxConstants bounds the numbers in a document, maxConstant the magnitude of each.
	maxConstants = 1 << 22
	maxConstant  = 1 << 62
	// maxElements bounds the elements of a tensor, maxSize those of all.
	maxElements = 1 << 20
	maxSize     = 1 << 22
	// maxWork bounds the work of all nodes together, in gates.
	maxWork      = 1 << 24
	maxRank      = 8
	maxScale     = 30
	maxInputBits = 60
)

// Visibility is what a proof shows of its inputs.
type Visibility string

const (
	// Public shows the quantised inputs.
	Public Visibility = "public"
	// Hashed shows a hash of them.
	Hashed Visibility = "hashed"
	// Committed shows a commitment that hides them.
	Committed Visibility = "commitment"
)

// Graph is a quantised model. Tensor 0 is the input, node i makes tensor i+1.
type Graph struct {
	// Model is the SHA-256 of the ONNX file, for the record.
	Model      string
	Scale      int
	InputBits  int
	Visibility Visibility
	// Lengths are the tensors' numbers of elements.
	Lengths []int
	Nodes   []*Node
	// Output is the number of the tensor that is the outcome.
	Output int
	// Commitment names the document in proofs: its SHA-256 with the upper three bits cleared.
	Commitment fr.Element

	bounds *bounds
}

// Inputs is how many numbers the model takes.
func (g *Graph) Inputs() int { return g.Lengths[0] }

// Outputs is how many it gives.
func (g *Graph) Outputs() int { return g.Lengths[g.Output] }

// Commit returns the field element that stands for a document in proofs.
func Commit(document []byte) (out fr.Element) {
	digest := sha256.Sum256(document)
	digest[0] &= 0x1f
	out.SetBytes(digest[:])
	return out
}

// Parse reads a graph's document, and refuses any other than a well-formed one whose numbers stay within 2^120.
func Parse(document []byte) (*Graph, error) {
	if len(document) > maxDocument {
		return nil, fault.New(fault.InvalidInput, "the graph has %d bytes, at most %d are read", len(document), maxDocument)
	}
	s := &scanner{text: document}
	read, err := s.document()
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "the graph is not the expected JSON: %s", fault.Shorten(err.Error(), 200))
	}
	g := &Graph{Commitment: Commit(document)}
	if err := g.read(read); err != nil {
		return nil, fault.New(fault.InvalidInput, "the graph is refused: %s", fault.Shorten(err.Error(), 300))
	}
	if g.bounds, err = boundsOf(g); err != nil {
		return nil, fault.New(fault.InvalidInput, "the graph is refused: %s", fault.Shorten(err.Error(), 300))
	}
	return g, nil
}

func (g *Graph) read(v *value) error {
	f := &fields{of: v}
	if format := f.text("format"); f.err == nil && format != Format {
		return fmt.Errorf("format is %q, expected %q", format, Format)
	}
	g.Model, g.Visibility = f.text("model"), Visibility(f.text("visibility"))
	g.Scale, g.InputBits = f.whole("scale", 1, maxScale), f.whole("input_bits", 1, maxInputBits)
	input, output := f.shape("input_shape"), f.shape("output_shape")
	nodes := f.items("nodes")
	g.Output = f.whole("output", 0, len(nodes))
	if err := f.done(); err != nil {
		return err
	}
	if !hexadecimal(g.Model, 64) {
		return fmt.Errorf("model is %q, expected a SHA-256 as 64 lower-case hexadecimal digits", g.Model)
	}
	if !slices.Contains([]Visibility{Public, Hashed, Committed}, g.Visibility) {
		return fmt.Errorf("visibility is %q, expected public, hashed or commitment", g.Visibility)
	}
	g.Lengths = []int{product(input)}
	total, work := g.Lengths[0], int64(0)
	for i, item := range nodes {
		n, err := g.readNode(i, item)
		if err != nil {
			return fmt.Errorf("node %d (%s): %w", i, n.Op, err)
		}
		g.Nodes, g.Lengths = append(g.Nodes, n), append(g.Lengths, n.Length)
		if total += n.Length; total > maxSize {
			return fmt.Errorf("node %d (%s): the tensors have more than %d elements together", i, n.Op, maxSize)
		}
		if work += n.work(); work > maxWork {
			return fmt.Errorf("node %d (%s): the model takes more than about %d gates", i, n.Op, maxWork)
		}
	}
	if product(output) != g.Outputs() {
		return fmt.Errorf("output_shape has %d elements, tensor %d has %d", product(output), g.Output, g.Outputs())
	}
	return nil
}

func hexadecimal(text string, length int) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(text) == length
}

func product(shape []int64) int {
	out := int64(1)
	for _, n := range shape {
		out *= n
	}
	return int(out)
}

// fields reads an object's, each once, and keeps the first error.
type fields struct {
	of   *value
	read int
	err  error
}

func (f *fields) take(name string, want kind) *value {
	found, there := f.of.fields[name]
	if f.err == nil && !there {
		f.err = fmt.Errorf("%s is missing", name)
	}
	if f.err == nil && found.kind != want && !(found.kind == isNumbers && len(found.numbers) == 0 && want == isItems) {
		f.err = fmt.Errorf("%s is %s, expected %s", name, found.kind, want)
	}
	f.read++
	if f.err != nil {
		return &value{}
	}
	return found
}

// done reports the first error, or a field that nobody has read.
func (f *fields) done() error {
	if f.err == nil && f.read != len(f.of.fields) {
		return fmt.Errorf("%d fields, expected %d: an unknown one is among them", len(f.of.fields), f.read)
	}
	return f.err
}

func (f *fields) text(name string) string      { return f.take(name, isText).text }
func (f *fields) items(name string) []*value   { return f.take(name, isItems).items }
func (f *fields) numbers(name string) []int64  { return f.take(name, isNumbers).numbers }
func (f *fields) object(name string) *fields   { return &fields{of: f.take(name, isObject), err: f.err} }
func (f *fields) fail(format string, a ...any) { f.err = fmt.Errorf(format, a...) }

func (f *fields) whole(name string, low, high int) int {
	found := f.take(name, isNumber).number
	if f.err == nil && (found < int64(low) || found > int64(high)) {
		f.fail("%s is %d, expected %d to %d", name, found, low, high)
	}
	return int(found)
}

// exactly reads so many numbers.
func (f *fields) exactly(name string, count int) []int64 {
	found := f.numbers(name)
	if f.err == nil && len(found) != count {
		f.fail("%s has %d numbers, expected %d", name, len(found), count)
	}
	if f.err != nil {
		return make([]int64, min(count, maxRank))
	}
	return found
}

// within reads so many numbers of a range.
func (f *fields) within(name string, count int, low, high int64) []int {
	out := make([]int, count)
	for i, number := range f.exactly(name, count) {
		if f.err == nil && (number < low || number > high) {
			f.fail("%s has a %d, expected %d to %d", name, number, low, high)
		}
		if f.err == nil {
			out[i] = int(number)
		}
	}
	return out
}

// shape reads a tensor's shape, whose product it bounds.
func (f *fields) shape(name string) []int64 {
	found := f.numbers(name)
	if f.err == nil && len(found) > maxRank {
		f.fail("%s has %d dimensions, at most %d are taken", name, len(found), maxRank)
	}
	elements := int64(1)
	for _, n := range found {
		if f.err == nil && (n < 1 || n > maxElements/elements) {
			f.fail("%s has a dimension of %d: a tensor has 1 to %d elements", name, n, maxElements)
		}
		if f.err == nil {
			elements *= n
		}
	}
	return found
}

// limit is what no number of an inference reaches in magnitude.
var limit = new(big.Int).Lsh(big.NewInt(1), 120)
