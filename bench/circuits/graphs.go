package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"provery/prover/circuits"
	"provery/prover/registry"
)

// graphs is where those of zkml are, seen from the repository's root.
const graphs = "provery/systems/zkml/vectors/graph"

// graphCounts counts the constraints of each graph's circuit under both schemes, of those whose name has a text.
func graphCounts(root, only string) (map[string]int, error) {
	files, err := filepath.Glob(filepath.Join(root, graphs, "*.json"))
	if err != nil {
		return nil, err
	}
	catalog, out := registry.Catalog(), map[string]int{}
	for _, file := range files {
		for _, scheme := range []string{"groth16", "plonk"} {
			name := "zkml-" + strings.TrimSuffix(filepath.Base(file), ".json") + "-" + scheme
			if strings.HasPrefix(name, "zkml-vectors-") || !strings.Contains(name, only) {
				continue
			}
			c, err := catalog.Find("", circuits.Document{Family: "zkml", Graph: file, Scheme: scheme})
			if err != nil {
				return nil, err
			}
			compiled, err := circuits.Compile(c)
			if err != nil {
				return nil, err
			}
			out[name] = compiled.Constraints()
			fmt.Fprintln(os.Stderr, name, out[name])
		}
	}
	return out, nil
}
