package circuits

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provery/prover/fault"
)

func TestFamilies(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for name, text := range map[string]string{path: "one", other: "two"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	opened, reads := 0, 0
	catalog := &Catalog{Circuits: []*Circuit{SelfTest()}, Families: []*Family{{Name: "f", Open: func(scheme Scheme, document func() ([]byte, error)) *Circuit {
		opened++
		return &Circuit{Prepare: func() error {
			reads++
			_, err := document()
			return err
		}}
	}}}}
	one := digestOf([]byte("one"))
	id := strings.Repeat("0a", 32)
	c, err := catalog.Find("", Document{Family: "f", Graph: path})
	if err != nil || c.Name != "f-"+one[:16]+"-plonk" || c.Scheme != Plonk || c.ID != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	again, err := catalog.Find(c.Name, Document{Family: "f", GraphSHA256: one, CircuitID: id, Scheme: "plonk"})
	if err != nil || again.ID != id || c.ID != "" || opened != 1 {
		t.Errorf("%+v, %v, opened %d times", again, err, opened)
	}
	if err := again.Prepare(); err != nil { // its path is known from the request before
		t.Error(err)
	}
	groth, err := catalog.Find("", Document{Family: "f", Graph: path, GraphSHA256: one, Scheme: "groth16"})
	if err != nil || groth.Scheme != Groth16 || groth.Name != "f-"+one[:16]+"-groth16" {
		t.Errorf("%+v, %v", groth, err)
	}
	if c, err := catalog.Find("self-test", Document{}); err != nil || c.Name != "self-test" {
		t.Error(err)
	}
	changed, err := catalog.Find("", Document{Family: "f", Graph: other, GraphSHA256: one})
	if err != nil {
		t.Fatal(err)
	}
	var known *fault.Error
	if err := changed.Prepare(); !errors.As(err, &known) || known.Kind != fault.CorruptArtifact {
		t.Errorf("another document: %v", err)
	}
	for name, d := range map[string]Document{
		"no family":        {Family: "g", Graph: path},
		"no scheme":        {Family: "f", Graph: path, Scheme: "stark"},
		"no document":      {Family: "f"},
		"a short digest":   {Family: "f", GraphSHA256: "ab"},
		"capitals":         {Family: "f", GraphSHA256: strings.ToUpper(one)},
		"no circuit's id":  {Family: "f", Graph: path, CircuitID: "../x"},
		"an empty request": {},
	} {
		if _, err := catalog.Find("", d); !errors.As(err, &known) || known.Kind != fault.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := catalog.Find("f-other", Document{Family: "f", Graph: path}); err == nil {
		t.Error("another name is taken")
	}
	for i := range 2 * maxOpen {
		if _, err := catalog.Find("", Document{Family: "f", GraphSHA256: digestOf([]byte{byte(i)})}); err != nil {
			t.Fatal(err)
		}
	}
	if len(catalog.recent) != maxOpen {
		t.Errorf("%d documents are held", len(catalog.recent))
	}
	if reads != 2 {
		t.Errorf("read %d times", reads)
	}
}
