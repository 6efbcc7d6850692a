package circuit

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/gadget/gadgettest"
)

// The cases of the system's Python twin: the evaluation agrees, each circuit holds for what is recorded, and for no other
// outcome.
func TestTwin(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors, "cases", "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Graph      json.RawMessage `json:"graph"`
			Commitment string          `json:"commitment"`
			Cases      []vector        `json:"cases"`
		}
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatal(err)
		}
		g, err := Parse(said.Graph)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := g.Commitment.Bytes(); new(big.Int).SetBytes(got[:]).Text(16) != trimmed(said.Commitment) {
			t.Errorf("%s: commitment is %x, expected %s", name, got, said.Commitment)
		}
		for k, v := range said.Cases {
			for i, y := range g.Evaluate(integers(v.Inputs)) {
				if y.Cmp(big.NewInt(v.Outputs[i])) != 0 {
					t.Errorf("%s, case %d: output %d is %v, expected %d", name, k, i, y, v.Outputs[i])
				}
			}
		}
		for scheme := range builders {
			system := compile(t, scheme, New(g))
			for _, v := range said.Cases[:min(3, len(said.Cases))] {
				c := witness(t, g, v.Inputs)
				gadgettest.Honest(t, system, c)
				one, last := fr.One(), len(c.Outputs)-1
				y := c.Outputs[last].(fr.Element)
				c.Outputs[last] = *y.Add(&y, &one)
				gadgettest.Forged(t, name+" "+scheme, system, c)
			}
		}
	}
}

// trimmed is a number's digits without 0x and leading zeros.
func trimmed(text string) string {
	n, _ := new(big.Int).SetString(text[2:], 16)
	return n.Text(16)
}
