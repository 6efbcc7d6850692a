package circuit

import (
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/statement"
)

func quiet(string, float64) {}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rig has a graph's keys and proofs in a directory.
type rig struct {
	t       *testing.T
	circuit *circuits.Circuit
	order   statement.Order
}

func newRig(t *testing.T, catalog *circuits.Catalog, keys, graph, scheme string) *rig {
	t.Helper()
	dir := t.TempDir()
	d := circuits.Document{Family: "zkml", Graph: filepath.Join(vectors, graph+".json"), Scheme: scheme}
	c, err := catalog.Find("", d)
	if err != nil {
		t.Fatal(err)
	}
	order := statement.Order{Keys: keys, Input: filepath.Join(dir, "inputs.json"), Proof: filepath.Join(dir, "proof"), Public: filepath.Join(dir, "public.json"),
		Threads: 2, Document: d, Residents: statement.NewResidents(1 << 30)}
	if _, err := order.SetUp(c, quiet); err != nil {
		t.Fatal(err)
	}
	compiled, err := circuits.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	d.CircuitID = compiled.ID
	if c, err = catalog.Find(c.Name, d); err != nil {
		t.Fatal(err)
	}
	g := read(t, graph)
	text, err := json.Marshal(map[string]any{"values": []float64{}, "quantised": random(g, 9), "salt": ""})
	if err != nil {
		t.Fatal(err)
	}
	write(t, order.Input, text)
	return &rig{t, c, order}
}

func (r *rig) rejected(what string) {
	r.t.Helper()
	_, err := r.order.Verify(r.circuit)
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != fault.InvalidProof {
		r.t.Errorf("%s: %v", what, err)
	}
}

// Proofs of the program: made, verified, and rejected with a byte changed, for any other public value, and as those of
// another model.
func TestProofs(t *testing.T) {
	catalog := &circuits.Catalog{Families: []*circuits.Family{Family()}}
	for _, scheme := range []string{"plonk", "groth16"} {
		keys := filepath.Join(t.TempDir(), "keys")
		r := newRig(t, catalog, keys, "network", scheme)
		made, err := r.order.Prove(r.circuit, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if len(made.Values) != 1+16+3 || made.CircuitID != r.circuit.ID {
			t.Errorf("made %+v", made)
		}
		r.order.Input = "" // or the values would be compared with it
		if _, err := r.order.Verify(r.circuit); err != nil {
			t.Fatal(err)
		}
		proof, err := os.ReadFile(r.order.Proof)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(proof); at += 29 {
			changed := append([]byte{}, proof...)
			changed[at] ^= 1
			write(t, r.order.Proof, changed)
			r.rejected("a byte changed")
		}
		write(t, r.order.Proof, proof)
		for name, was := range made.Values {
			value, _ := new(big.Int).SetString(was[2:], 16)
			value.Add(value, big.NewInt(1)).Mod(value, fr.Modulus())
			made.Values[name] = "0x" + value.Text(16)
			text, err := json.Marshal(made.Public)
			if err != nil {
				t.Fatal(err)
			}
			write(t, r.order.Public, text)
			r.rejected("another " + name)
			made.Values[name] = was
		}
		other := newRig(t, catalog, keys, "sigmoid", scheme)
		if _, err := other.order.Prove(other.circuit, quiet); err != nil {
			t.Fatal(err)
		}
		other.order.Input, other.order.Proof = "", r.order.Proof
		other.rejected("a proof of another model")
	}
}

// Public values have one form, and names that count from zero.
func TestPublicValues(t *testing.T) {
	good := func() circuits.Values {
		return circuits.Values{"model": "0x1", "input_0": "0x0", "input_1": "0xab", "output_0": "0x2"}
	}
	if _, err := public(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(v circuits.Values){
		"no model":       func(v circuits.Values) { delete(v, "model") },
		"a gap":          func(v circuits.Values) { delete(v, "input_0") },
		"another name":   func(v circuits.Values) { v["salt"] = "0x1" },
		"capitals":       func(v circuits.Values) { v["input_1"] = "0xAB" },
		"a leading zero": func(v circuits.Values) { v["input_1"] = "0x0ab" },
		"no prefix":      func(v circuits.Values) { v["input_1"] = "ab" },
		"a sign":         func(v circuits.Values) { v["input_1"] = "0x-1" },
		"the modulus":    func(v circuits.Values) { v["input_1"] = "0x" + fr.Modulus().Text(16) },
		"nothing":        func(v circuits.Values) { v["input_1"] = "" },
	} {
		v := good()
		change(v)
		if _, err := public(v); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Inputs are refused by a message that says which.
func TestInputs(t *testing.T) {
	public, committed := read(t, "mul"), read(t, "commitment")
	salt := `"0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"`
	for text, g := range map[string]*Graph{
		`{"values":[],"quantised":[1,2,3,4],"salt":""}`:       public,
		`{"values":[0.5,1e-3],"quantised":[0,-4095,4095,1]}`:  public,
		`{"values":[],"quantised":[1,2],"salt":` + salt + `}`: committed,
	} {
		if _, err := g.parseInputs([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, g := range map[string]*Graph{
		`{"values":[],"quantised":[1,2,3],"salt":""}`:                  public,
		`{"values":[],"quantised":[1,2,3,4096],"salt":""}`:             public,
		`{"values":[],"quantised":[1,2,3,-4096],"salt":""}`:            public,
		`{"values":[],"quantised":[1,2,3,1e2],"salt":""}`:              public,
		`{"values":[],"quantised":[1,2,3,"4"],"salt":""}`:              public,
		`{"values":[],"quantised":[1,2,3,4],"salt":"0x00"}`:            public,
		`{"values":[],"quantised":[1,2,3,4],"x":1}`:                    public,
		`{"values":[],"quantised":[1,2,3,4]}{}`:                        public,
		`{"values":[],"quantised":[1,2,3,99999999999999999999999999]}`: public,
		`[]`:                              public,
		`{"values":[],"quantised":[1,2]}`: committed,
		`{"values":[],"quantised":[1,2],"salt":"5a"}`:   committed,
		`{"values":[],"quantised":[1,2],"salt":"0x5a"}`: committed,
	} {
		var known *fault.Error
		if _, err := g.parseInputs([]byte(text)); !errors.As(err, &known) || known.Kind != fault.InvalidInput {
			t.Errorf("%s: %v", text, err)
		}
	}
}
