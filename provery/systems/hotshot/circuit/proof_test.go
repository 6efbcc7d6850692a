package circuit

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/scs"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/gadget/gadgettest"
	"provery/prover/statement"
)

// encode returns the input document of a certificate.
func encode(t *testing.T, c *Certificate) []byte {
	t.Helper()
	hex := func(x fr.Element) string { return "0x" + x.Text(16) }
	table := func(s Table) tableDocument {
		return tableDocument{hex(s.BLS), hex(s.Schnorr), hex(s.Amount), hex(s.Threshold)}
	}
	var doc document
	doc.State.View, doc.State.Height = fmt.Sprintf("0x%x", c.View), fmt.Sprintf("0x%x", c.Height)
	doc.State.Root = hex(c.BlockCommRoot)
	doc.Voting, doc.Next = table(c.Voting), table(c.Next)
	for i, entry := range c.Entries {
		doc.Table = append(doc.Table, entryDocument{hex(entry.Key.X), hex(entry.Key.Y), hexadecimal(entry.Stake)})
		var signature *signatureDocument
		if s := c.Signatures[i]; s != nil {
			signature = &signatureDocument{hexadecimal(s.S), hex(s.R.X), hex(s.R.Y)}
		}
		doc.Signatures = append(doc.Signatures, signature)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A finished proof must not verify for any other public value, the BLS commitment included: gnark's Groth16 takes any
// value of a public input that no constraint has. Keys, proof and verification are those of the program.
func TestPublicValuesOfProofs(t *testing.T) {
	const capacity = 5
	for _, scheme := range []circuits.Scheme{circuits.Groth16, circuits.Plonk} {
		dir := t.TempDir()
		c := describe(scheme, capacity)
		compiled, err := circuits.Compile(c)
		if err != nil {
			t.Fatal(err)
		}
		c.ID = compiled.ID
		order := statement.Order{Circuit: c.Name, Keys: filepath.Join(dir, "keys"), Input: filepath.Join(dir, "state.json"),
			Proof: filepath.Join(dir, "proof"), Public: filepath.Join(dir, "public.json"), Threads: 2}
		write(t, order.Input, encode(t, invented(capacity, 2)))
		if _, err := order.SetUp(c, quiet); err != nil {
			t.Fatal(err)
		}
		made, err := order.Prove(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if len(made.Values) != len(public(New(0))) {
			t.Errorf("%v", made.Values)
		}
		order.Input = "" // or the values would be compared with it
		if _, err := order.Verify(c); err != nil {
			t.Fatal(err)
		}
		for name := range made.Values {
			was := made.Values[name]
			value, _ := new(big.Int).SetString(was[2:], 16)
			made.Values[name] = hexadecimal(value.Add(value, big.NewInt(1)))
			text, err := json.Marshal(made.Public)
			if err != nil {
				t.Fatal(err)
			}
			write(t, order.Public, append(text, '\n'))
			_, err = order.Verify(c)
			wantKind(t, c.Name+" of another "+name, err, fault.InvalidProof)
			made.Values[name] = was
		}
	}
}

func quiet(string, float64) {}

// The gates are others than the constraints: what must not be believed is tried with them too.
func TestStatementInPlonk(t *testing.T) {
	system, err := frontend.Compile(ecc.BN254.ScalarField(), scs.NewBuilder, New(small))
	if err != nil {
		t.Fatal(err)
	}
	c := invented(small, 2)
	gadgettest.Honest(t, system, honest(t, c, small))
	gadgettest.Lies(t, system, honest(t, c, small), 8)
	for name := range public(New(0)) {
		if name == "voting_bls" {
			continue
		}
		state := honest(t, c, small)
		value := public(state)[name]
		*value = plusOne(t, *value)
		gadgettest.Forged(t, name, system, state)
	}
	for name, change := range map[string]func(*State){
		"an absentee's bit":     func(s *State) { s.Rows[2].Signed = 1 },
		"padding's bit":         func(s *State) { s.Rows[5].Signed = 1 },
		"a bit of two":          func(s *State) { s.Rows[0].Signed = 2 },
		"a key replaced":        func(s *State) { s.Rows[2].Key = s.Rows[1].Key },
		"a stake raised":        func(s *State) { s.Rows[2].Stake = 99 },
		"a row's signature":     func(s *State) { s.Rows[0].Signature = s.Rows[1].Signature },
		"a missing placeholder": func(s *State) { s.Rows[5].Signature = s.Rows[1].Signature },
	} {
		state := honest(t, c, small)
		change(state)
		gadgettest.Forged(t, name, system, state)
	}
}
