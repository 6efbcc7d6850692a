package circuit

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/circuits"
	"provery/prover/fault"
)

func find(t *testing.T, name string) *circuits.Circuit {
	t.Helper()
	c, err := circuits.Find(Circuits(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryCircuitIsIdentified(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Circuits() {
		if len(c.ID) != 64 || seen[c.ID] || c.Constraints == 0 {
			t.Errorf("%s has id %q and %d constraints", c.Name, c.ID, c.Constraints)
		}
		seen[c.ID] = true
	}
	// proofs at the networks' capacity must fit their domains, with the public values beside the gates
	for name, most := range map[string]int{"hotshot-state-200": 850_000, "hotshot-state-200-plonk": 1<<21 - 11} {
		if c := find(t, name); c.Constraints > most {
			t.Errorf("%s has %d constraints, expected %d at most", name, c.Constraints, most)
		}
	}
}

// The order is part of what a contract checks.
func TestPublicValuesAreInOrder(t *testing.T) {
	names := []string{"view", "height", "block_comm_root", "voting_bls", "voting_schnorr", "voting_amount", "voting_threshold", "next_bls", "next_schnorr", "next_amount", "next_threshold"}
	values := circuits.Values{}
	for i, name := range names {
		values[name] = "0x" + string("123456789ab"[i])
	}
	state, err := publicOf(values)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := circuits.Witness(state, true)
	if err != nil {
		t.Fatal(err)
	}
	vector := witness.Vector().(fr.Vector)
	if len(vector) != len(names) {
		t.Fatalf("%d public values", len(vector))
	}
	for i, value := range vector {
		if value != fr.NewElement(uint64(i+1)) {
			t.Errorf("public value %d is %s", i, value.String())
		}
	}
}

func TestPublicValuesHaveOneForm(t *testing.T) {
	c := find(t, "hotshot-state-200")
	full, values, err := c.Assign(recorded(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != 11 || values["height"] != "0xf" || values["voting_threshold"] != "0x2" {
		t.Errorf("%v", values)
	}
	public, err := c.Public(values)
	if err != nil {
		t.Fatal(err)
	}
	bare := *full.(*State)
	bare.Rows = nil
	if !reflect.DeepEqual(&bare, public.(*State)) {
		t.Error("public values do not come back")
	}
	for name, change := range map[string]string{
		"view":            "0x0" + values["view"][2:],
		"height":          "0x10000000000000000",
		"block_comm_root": strings.ToUpper(values["block_comm_root"]),
		"voting_bls":      "",
		"voting_schnorr":  "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001", // the modulus
		"next_threshold":  values["next_threshold"][2:],
		"extra":           "0x1",
	} {
		changed := maps.Clone(values)
		changed[name] = change
		_, err := c.Public(changed)
		wantKind(t, name, err, fault.InvalidInput)
	}
	delete(values, "next_bls")
	if _, err := c.Public(values); err == nil {
		t.Error("a missing value is taken")
	}
}

func TestAssignRefuses(t *testing.T) {
	c := find(t, "hotshot-state-100")
	for _, wrong := range []string{"", "{", " {}", "null", "[]"} {
		_, _, err := c.Assign([]byte(wrong))
		wantKind(t, wrong, err, fault.InvalidInput)
	}
	_, _, err := c.Assign(recorded(t, 1))
	wantKind(t, "another capacity's certificate", err, fault.InvalidWitness)
}
