// Command circuits counts the constraints of every gadget and circuit, and records them with the circuits' ids:
//
//	go run ./bench/circuits                  # rewrites bench/results/circuits.json; minutes, and 5 GB of memory
//	go run ./bench/circuits --only sha256    # prints those whose name has the text
//
// Counts are exact: compilation is deterministic. A test holds the small gadgets to what is recorded.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"

	"provery/prover/circuits"
	"provery/prover/registry"
)

// results is where the counts are recorded, seen from the repository's root.
const results = "bench/results/circuits.json"

// report is the recorded form.
type report struct {
	About    string         `json:"about"`
	Gadgets  map[string]int `json:"gadgets"`
	Circuits map[string]int `json:"circuits"`
	// Graphs are the circuits of the graphs in zkml's vectors, under each scheme.
	Graphs map[string]int `json:"graphs"`
	// IDs are the SHA-256 of the compiled constraint systems: the names of their keys.
	IDs map[string]string `json:"ids"`
}

// add compiles a circuit and says where its source must name it otherwise.
func (r *report) add(c *circuits.Circuit) {
	free := *c
	free.ID = ""
	compiled, err := circuits.Compile(&free)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r.Circuits[c.Name], r.IDs[c.Name] = compiled.Constraints(), compiled.ID
	fmt.Fprintln(os.Stderr, c.Name, r.Circuits[c.Name], compiled.ID)
	if compiled.ID != c.ID || r.Circuits[c.Name] != c.Constraints {
		fmt.Fprintf(os.Stderr, "  its source says %d %s: put the new values into identity.go; all its keys are void\n", c.Constraints, c.ID)
	}
}

func main() {
	logger.Disable()
	only := flag.String("only", "", "count what has this text in its name, and print it")
	flag.Parse()
	r := report{"constraints over BN254, R1CS but for circuits called -plonk, whose gates are counted; made by: go run ./bench/circuits", map[string]int{}, map[string]int{}, map[string]int{}, map[string]string{}}
	add := func(into map[string]int, name string, c frontend.Circuit) {
		if strings.Contains(name, *only) {
			into[name] = count(c)
			fmt.Fprintln(os.Stderr, name, into[name])
			runtime.GC()
		}
	}
	for _, g := range gadgets() {
		add(r.Gadgets, g.name, g.circuit)
	}
	graphs, err := graphCounts(".", *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r.Graphs = graphs
	for _, c := range registry.Circuits() {
		if strings.Contains(c.Name, *only) {
			r.add(c)
			runtime.GC()
		}
	}
	if *only != "" {
		return
	}
	text, _ := json.MarshalIndent(r, "", "  ")
	err = os.MkdirAll(filepath.Dir(results), 0o755)
	if err == nil {
		err = os.WriteFile(results, append(text, '\n'), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func count(c frontend.Circuit) int { return compile(c).GetNbConstraints() }

func compile(c frontend.Circuit) constraint.ConstraintSystem {
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, c, frontend.IgnoreUnconstrainedInputs())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return system
}
