package circuit

import (
	"sync"

	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
)

// Family makes circuits of graphs: `zkml`.
func Family() *circuits.Family {
	return &circuits.Family{
		Name:  "zkml",
		About: "outputs are what a quantised model, whose graph is the document, gives for inputs",
		Open:  open,
	}
}

// open describes the circuit of a graph, which is read when it is first needed.
func open(scheme circuits.Scheme, document func() ([]byte, error)) *circuits.Circuit {
	var lock sync.Mutex
	var known *Graph
	graph := func() (*Graph, error) {
		lock.Lock()
		defer lock.Unlock()
		if known == nil {
			text, err := document()
			if err != nil {
				return nil, err
			}
			if known, err = Parse(text); err != nil {
				return nil, err
			}
		}
		return known, nil
	}
	return &circuits.Circuit{
		Scheme: scheme, About: "outputs are what a quantised model gives for inputs", Resident: true,
		Prepare: func() error {
			_, err := graph()
			return err
		},
		New: func() frontend.Circuit {
			lock.Lock()
			defer lock.Unlock()
			return New(known)
		},
		Assign: func(input []byte) (frontend.Circuit, circuits.Values, error) {
			g, err := graph()
			if err != nil {
				return nil, nil, err
			}
			in, err := g.parseInputs(input)
			if err != nil {
				return nil, nil, err
			}
			c := g.assign(in)
			return c, c.values(), nil
		},
		Public: public,
	}
}
