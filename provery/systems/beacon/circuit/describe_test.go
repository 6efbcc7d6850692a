package circuit

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"provery/prover/circuits"
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
}

func TestBothFormsOfInputAreRead(t *testing.T) {
	text, err := os.ReadFile("testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	_, values, err := find(t, "beacon-step-minimal-5").Assign(text)
	if err != nil || len(values) != 5 {
		t.Fatalf("%v, %v", values, err)
	}
	for name, want := range map[string]string{"1600": "0x640", "1601": "0x641"} {
		file, err := os.ReadFile("../../../../vectors/beacon/mainnet/sync_" + name + ".ssz")
		if err != nil {
			t.Fatal(err)
		}
		c := find(t, "beacon-step-mainnet-6")
		_, values, err := c.Assign(file)
		if err != nil || values["period"] != want {
			t.Errorf("period %s: %v, %v", name, values, err)
		}
		if _, _, err := find(t, "beacon-step-mainnet-5").Assign(file); err == nil || !strings.Contains(err.Error(), c.Name) {
			t.Errorf("the other depth takes it: %v", err)
		}
	}
	for _, wrong := range []string{"", "{", " {}", "null"} {
		if _, _, err := find(t, "beacon-step-minimal-5").Assign([]byte(wrong)); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestPublicValuesHaveOneForm(t *testing.T) {
	c := find(t, "beacon-step-minimal-5")
	_, values, err := c.Assign([]byte(readAll(t)))
	if err != nil {
		t.Fatal(err)
	}
	step, err := c.Public(values)
	if err != nil {
		t.Fatal(err)
	}
	again, _, _ := c.Assign([]byte(readAll(t)))
	full, public := again.(*Step), step.(*Step)
	if !reflect.DeepEqual(full.HeaderRoot, public.HeaderRoot) || full.Period != public.Period || full.Commitment != public.Commitment {
		t.Error("public values do not come back")
	}
	for name, change := range map[string]string{
		"commitment":  "0x30644e72e131a029b85045b68181585d2833e84879b97091" + "43e1f593f0000001", // the modulus
		"next_root":   strings.ToUpper(values["next_root"]),
		"period":      "0x0" + values["period"][2:],
		"header_root": values["header_root"][:65],
		"domain":      "",
		"extra":       "0x1",
	} {
		changed := circuits.Values{}
		for key, value := range values {
			changed[key] = value
		}
		changed[name] = change
		if _, err := c.Public(changed); err == nil {
			t.Errorf("%s = %q is taken", name, change)
		}
	}
	changed := circuits.Values{"extra": ""}
	for key, value := range values {
		changed[key] = value
	}
	if _, err := c.Public(changed); err == nil {
		t.Error("an empty value too many is taken")
	}
	delete(values, "period")
	if _, err := c.Public(values); err == nil {
		t.Error("a missing period is taken")
	}
}

func readAll(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
