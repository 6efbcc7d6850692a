package main

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/consensys/gnark/logger"

	"provery/prover/registry"
)

// A change of a gadget's size is a change of every key: it fails here until it is recorded.
func TestCountsAreRecorded(t *testing.T) {
	logger.Disable()
	text, err := os.ReadFile("../../" + results)
	if err != nil {
		t.Fatal(err)
	}
	var recorded report
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	for _, g := range gadgets() {
		want, known := recorded.Gadgets[g.name]
		if !known {
			t.Errorf("%s is not recorded; run go run ./bench/circuits", g.name)
			continue
		}
		if g.small {
			if got := count(g.circuit); got != want {
				t.Errorf("%s has %d constraints, recorded are %d; if that is meant, run go run ./bench/circuits", g.name, got, want)
			}
		}
	}
	counted, err := graphCounts("../..", "")
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(counted, recorded.Graphs) {
		t.Errorf("circuits of graphs are %v, recorded are %v; if that is meant, run go run ./bench/circuits", counted, recorded.Graphs)
	}
	for _, c := range registry.Circuits() {
		if recorded.Circuits[c.Name] != c.Constraints || recorded.IDs[c.Name] != c.ID {
			t.Errorf("%s is not recorded as its source says; run go run ./bench/circuits", c.Name)
		}
	}
}
