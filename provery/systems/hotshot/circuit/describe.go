package circuit

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
	"provery/prover/fault"
)

// Capacities are the numbers of rows that circuits exist for. 200 is the networks' own; the commitments depend on it.
var Capacities = []int{10, 100, 200}

// Name is what commands call the circuit of a capacity; those of PLONK end in -plonk.
func Name(scheme circuits.Scheme, capacity int) string {
	name := fmt.Sprintf("hotshot-state-%d", capacity)
	if scheme == circuits.Plonk {
		name += "-plonk"
	}
	return name
}

// Circuits describes every capacity under both schemes for the program's commands.
func Circuits() (out []*circuits.Circuit) {
	for _, scheme := range []circuits.Scheme{circuits.Groth16, circuits.Plonk} {
		for _, capacity := range Capacities {
			out = append(out, describe(scheme, capacity))
		}
	}
	return out
}

func describe(scheme circuits.Scheme, capacity int) *circuits.Circuit {
	name, by := Name(scheme, capacity), ""
	if scheme == circuits.Plonk {
		by = ", by PLONK"
	}
	known := identities[name]
	return &circuits.Circuit{
		Name: name, Scheme: scheme, ID: known.id, Constraints: known.constraints,
		About: fmt.Sprintf("validators of a stake table of up to %d keys have signed a light-client state and the next table%s", capacity, by),
		New:   func() frontend.Circuit { return New(capacity) },
		Assign: func(input []byte) (frontend.Circuit, circuits.Values, error) {
			c, err := Parse(input)
			if err != nil {
				return nil, nil, err
			}
			state, err := Assign(c, capacity)
			if err != nil {
				return nil, nil, err
			}
			return state, c.values(), nil
		},
		Public: publicOf,
	}
}

// values are the public values by name, as the input document has them.
func (c *Certificate) values() circuits.Values {
	out := circuits.Values{"view": fmt.Sprintf("0x%x", c.View), "height": fmt.Sprintf("0x%x", c.Height)}
	for name, value := range c.elements() {
		out[name] = "0x" + value.Text(16)
	}
	return out
}

func (c *Certificate) elements() map[string]*fr.Element {
	return map[string]*fr.Element{
		"block_comm_root": &c.BlockCommRoot,
		"voting_bls":      &c.Voting.BLS, "voting_schnorr": &c.Voting.Schnorr, "voting_amount": &c.Voting.Amount, "voting_threshold": &c.Voting.Threshold,
		"next_bls": &c.Next.BLS, "next_schnorr": &c.Next.Schnorr, "next_amount": &c.Next.Amount, "next_threshold": &c.Next.Threshold,
	}
}

// publicOf reads what values wrote; any other form of the same values is refused.
func publicOf(values circuits.Values) (frontend.Circuit, error) {
	c, r := &Certificate{}, &reader{}
	c.View, c.Height = r.uint64("view", values["view"]), r.uint64("height", values["height"])
	known := c.elements()
	for name, into := range known {
		*into = r.element(name, values[name])
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(values) != len(known)+2 {
		return nil, fault.New(fault.InvalidInput, "%d public values, expected the circuit's %d", len(values), len(known)+2)
	}
	return c.public(), nil
}
