package circuit

import (
	"math/big"

	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/poseidon"
)

// Tags keep hashes of inputs apart from commitments to them, and both from other hashes of this program.
const (
	hashTag       = 3
	commitmentTag = 4
)

// Inference states that Outputs are what the model gives for inputs.
//
// Statement: Model is the commitment to the graph that the circuit is made of, each input is a number q with
// −2^b < q < 2^b, b the graph's input bits, and Outputs are the output tensor of the graph's evaluation
// (docs/zkml-circuit.md), negative numbers as their negatives' complement to the modulus.
//
// What is shown of the inputs is the graph's visibility: themselves, their hash, or a commitment to them.
type Inference struct {
	Model frontend.Variable `gnark:",public"`
	// Inputs are the quantised inputs, or one hash or commitment.
	Inputs  []frontend.Variable `gnark:",public"`
	Outputs []frontend.Variable `gnark:",public"`

	// Hidden are the inputs where they are not public, behind the salt where there is a commitment.
	Hidden []frontend.Variable

	graph *Graph
}

// New returns the empty circuit of a graph.
func New(g *Graph) *Inference {
	shown, hidden := g.Inputs(), 0
	switch g.Visibility {
	case Hashed:
		shown, hidden = 1, g.Inputs()
	case Committed:
		shown, hidden = 1, 1+g.Inputs()
	}
	return &Inference{Inputs: make([]frontend.Variable, shown), Outputs: make([]frontend.Variable, g.Outputs()),
		Hidden: make([]frontend.Variable, hidden), graph: g}
}

// Define states it all.
func (c *Inference) Define(api frontend.API) error {
	g, b := c.graph, newBuilder(api)
	api.AssertIsEqual(c.Model, g.Commitment.BigInt(new(big.Int)))
	inputs := c.Inputs
	if g.Visibility != Public {
		var err error
		if inputs, err = c.open(api); err != nil {
			return err
		}
	}
	for _, x := range inputs {
		b.assertInput(x, g.InputBits)
	}
	for i, y := range b.infer(g, inputs) {
		api.AssertIsEqual(c.Outputs[i], y)
	}
	return b.err
}

// open states that the hash or commitment shown is that of the hidden inputs, which it returns.
func (c *Inference) open(api frontend.API) ([]frontend.Variable, error) {
	var tag uint32 = hashTag
	inputs := c.Hidden
	if c.graph.Visibility == Committed {
		tag, inputs = commitmentTag, c.Hidden[1:]
	}
	hash, err := poseidon.Sum(api, tag, c.Hidden...)
	if err == nil {
		api.AssertIsEqual(hash, c.Inputs[0])
	}
	return inputs, err
}

// assertInput states that −2^bits < x < 2^bits: that x is above + (2^bits−1)·(bit−1), where above has so many bits.
func (b *builder) assertInput(x frontend.Variable, bits int) {
	most := new(big.Int).Sub(power(bits), integer(1))
	widths := append(b.widths(bits), 1)
	digits := b.hint(rangeHint, len(widths), append([]frontend.Variable{x, most}, variablesOf(widths)...)...)
	terms, at := []frontend.Variable{new(big.Int).Neg(most)}, 0
	for i, width := range widths {
		b.assertDigit(digits[i], width)
		weight := power(at)
		if i == len(widths)-1 {
			weight = most
		}
		terms = append(terms, b.Mul(digits[i], weight))
		at += width
	}
	b.assertSum(terms, x)
}
