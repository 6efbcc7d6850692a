package circuit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/gadget/poseidon"
)

// saltBytes is the length of what hides committed inputs.
const saltBytes = 31

// inputs are what one inference is of.
type inputs struct {
	quantised []*big.Int
	salt      fr.Element
}

// parseInputs reads {"values": [floats], "quantised": [integers], "salt": "0x…" or ""}. The floats, which the integers
// were made of, are for the record.
func (g *Graph) parseInputs(text []byte) (*inputs, error) {
	var doc struct {
		Values    []float64 `json:"values"`
		Quantised []int64   `json:"quantised"`
		Salt      string    `json:"salt"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&doc)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = fmt.Errorf("something follows the document")
		}
	}
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "inputs are not the expected JSON: %s", fault.Shorten(err.Error(), 200))
	}
	if len(doc.Quantised) != g.Inputs() {
		return nil, fault.New(fault.InvalidInput, "%d quantised inputs, the model takes %d", len(doc.Quantised), g.Inputs())
	}
	out, end := &inputs{}, int64(1)<<g.InputBits
	for i, q := range doc.Quantised {
		if q <= -end || q >= end {
			return nil, fault.New(fault.InvalidInput, "quantised input %d is %d, expected less than 2^%d in magnitude", i, q, g.InputBits)
		}
		out.quantised = append(out.quantised, integer(q))
	}
	return out, out.readSalt(g, doc.Salt)
}

func (in *inputs) readSalt(g *Graph, salt string) error {
	if g.Visibility != Committed {
		if salt != "" {
			return fault.New(fault.InvalidInput, "there is a salt, the model's inputs are %s", g.Visibility)
		}
		return nil
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(salt, "0x"))
	if err != nil || len(raw) != saltBytes || !strings.HasPrefix(salt, "0x") {
		return fault.New(fault.InvalidInput, "the salt is not 0x and the hexadecimal digits of %d bytes, which the commitment to the inputs needs", saltBytes)
	}
	in.salt.SetBytes(raw)
	return nil
}

// element is the field element that stands for a number.
func element(n *big.Int) (out fr.Element) {
	out.SetBigInt(n)
	return out
}

func elements(of []*big.Int) (out []fr.Element) {
	for _, n := range of {
		out = append(out, element(n))
	}
	return out
}

func variables(of []fr.Element) []frontend.Variable {
	out := make([]frontend.Variable, len(of))
	for i := range of {
		out[i] = of[i]
	}
	return out
}

// assign infers, and returns the witness.
func (g *Graph) assign(in *inputs) *Inference {
	given := elements(in.quantised)
	out := &Inference{Model: g.Commitment, Outputs: variables(elements(g.Evaluate(in.quantised))), graph: g}
	switch g.Visibility {
	case Public:
		out.Inputs = variables(given)
	case Hashed:
		out.Hidden = variables(given)
		out.Inputs = variables([]fr.Element{poseidon.Native(hashTag, given...)})
	case Committed:
		all := append([]fr.Element{in.salt}, given...)
		out.Hidden = variables(all)
		out.Inputs = variables([]fr.Element{poseidon.Native(commitmentTag, all...)})
	}
	return out
}

// Names of public values. Those of lists have the number behind them.
const (
	nameModel  = "model"
	nameInput  = "input_"
	nameOutput = "output_"
)

// values are the public values by name.
func (c *Inference) values() circuits.Values {
	out := circuits.Values{nameModel: text(c.Model)}
	for i, x := range c.Inputs {
		out[fmt.Sprint(nameInput, i)] = text(x)
	}
	for i, x := range c.Outputs {
		out[fmt.Sprint(nameOutput, i)] = text(x)
	}
	return out
}

func text(of frontend.Variable) string {
	x := of.(fr.Element)
	return "0x" + x.Text(16)
}

// public reads what values wrote; any other form of the same values is refused.
func public(values circuits.Values) (frontend.Circuit, error) {
	out := &Inference{}
	read := func(name string) (frontend.Variable, error) {
		given := values[name]
		x, ok := new(big.Int), len(given) <= 66
		if ok {
			_, ok = x.SetString(strings.TrimPrefix(given, "0x"), 16)
		}
		if !ok || x.Sign() < 0 || x.Cmp(fr.Modulus()) >= 0 || "0x"+x.Text(16) != given {
			return nil, fault.New(fault.InvalidInput, "public value %s is %q, expected 0x and lower-case hexadecimal digits without leading zeros, below the field's modulus",
				name, fault.Shorten(given, 80))
		}
		return element(x), nil
	}
	var err error
	if out.Model, err = read(nameModel); err != nil {
		return nil, err
	}
	count := 1
	for prefix, into := range map[string]*[]frontend.Variable{nameInput: &out.Inputs, nameOutput: &out.Outputs} {
		for i := 0; ; i++ {
			name := fmt.Sprint(prefix, i)
			if _, there := values[name]; !there {
				break
			}
			x, err := read(name)
			if err != nil {
				return nil, err
			}
			*into = append(*into, x)
		}
		count += len(*into)
	}
	if count != len(values) {
		return nil, fault.New(fault.InvalidInput, "%d public values, of which %d have names of this circuit, counted from zero", len(values), count)
	}
	return out, nil
}
