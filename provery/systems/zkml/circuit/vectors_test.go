package circuit

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const vectors = "../vectors/graph"

// vector is an inference.
type vector struct {
	Inputs  []int64 `json:"inputs"`
	Outputs []int64 `json:"outputs"`
}

func read(t testing.TB, name string) *Graph {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectors, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return g
}

// graphs are the names of those with vectors.
func graphs(t testing.TB) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); name != "vectors" {
			out = append(out, name)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d graphs", len(out))
	}
	return out
}

func integers(of []int64) (out []*big.Int) {
	for _, n := range of {
		out = append(out, big.NewInt(n))
	}
	return out
}

// random returns inputs of a graph: the least, the greatest, and some between, near to zero or not.
func random(g *Graph, seed uint64) (out []int64) {
	from := rand.New(rand.NewPCG(seed, 1))
	end := int64(1)<<g.InputBits - 1
	for range g.Inputs() {
		n := from.Int64N(2*end+1) - end
		switch seed {
		case 0:
			n = end
		case 1:
			n = -end
		case 2:
			n = 0
		case 3, 4, 5:
			n >>= g.InputBits / 2
		}
		out = append(out, n)
	}
	return out
}

// Outputs are what is recorded. The records were compared with a second implementation, the system's Python twin.
func TestVectors(t *testing.T) {
	path := filepath.Join(vectors, "vectors.json")
	recorded := map[string][]vector{}
	if os.Getenv("PROVERY_WRITE_VECTORS") != "" {
		for _, name := range graphs(t) {
			g := read(t, name)
			for seed := range uint64(12) {
				recorded[name] = append(recorded[name], vector{Inputs: random(g, 11-seed)})
				one := &recorded[name][seed]
				for _, y := range g.Evaluate(integers(one.Inputs)) {
					one.Outputs = append(one.Outputs, y.Int64())
				}
			}
		}
		text, err := json.Marshal(recorded)
		if err == nil {
			err = os.WriteFile(path, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range graphs(t) {
		g := read(t, name)
		if len(recorded[name]) == 0 {
			t.Errorf("%s has no vectors", name)
		}
		for _, v := range recorded[name] {
			got := g.Evaluate(integers(v.Inputs))
			if len(got) != len(v.Outputs) {
				t.Fatalf("%s gives %d outputs, expected %d", name, len(got), len(v.Outputs))
			}
			for i, y := range got {
				if y.Cmp(big.NewInt(v.Outputs[i])) != 0 {
					t.Errorf("%s%v: output %d is %v, expected %d", name, v.Inputs, i, y, v.Outputs[i])
				}
			}
		}
	}
}

// Every number lies in its interval, those on the way included.
func TestBounds(t *testing.T) {
	for _, name := range graphs(t) {
		g := read(t, name)
		for seed := range uint64(40) {
			tensors := [][]*big.Int{integers(random(g, seed))}
			for i := range g.Nodes {
				part := *g
				part.Nodes, part.Output = g.Nodes[:i+1], i+1
				tensors = append(tensors, part.Evaluate(tensors[0]))
				for o, y := range tensors[i+1] {
					in := g.bounds.tensors[i+1][o]
					if y.Cmp(in.low) < 0 || y.Cmp(in.high) > 0 {
						t.Fatalf("%s, node %d: %v is not within %v and %v", name, i, y, in.low, in.high)
					}
				}
			}
		}
	}
}
