// Command circuits counts the constraints of every gadget and circuit and records them:
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

	"provery/provery/systems/beacon/circuit"
)

// results is where the counts are recorded, seen from the repository's root.
const results = "bench/results/circuits.json"

// report is the recorded form.
type report struct {
	About    string         `json:"about"`
	Gadgets  map[string]int `json:"gadgets"`
	Circuits map[string]int `json:"circuits"`
}

func main() {
	logger.Disable()
	only := flag.String("only", "", "count what has this text in its name, and print it")
	flag.Parse()
	r := report{"R1CS constraints over BN254; made by: go run ./bench/circuits", map[string]int{}, map[string]int{}}
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
	for _, shape := range circuit.Shapes() {
		add(r.Circuits, shape.Name(), shape.Circuit())
	}
	if *only != "" {
		return
	}
	text, _ := json.MarshalIndent(r, "", "  ")
	err := os.MkdirAll(filepath.Dir(results), 0o755)
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
