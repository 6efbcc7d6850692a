package wtns_test

import (
	"bytes"
	"os"
	"testing"

	"provery/prover/wtns"
)

func tiny(t testing.TB) []byte {
	data, err := os.ReadFile("../testdata/tiny.wtns")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseAndWriteBack(t *testing.T) {
	data := tiny(t)
	witness, err := wtns.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.Join(wtns.Encode(witness), nil), data) {
		t.Error("the witness is not written as it was read")
	}
}

func TestRefusesDamage(t *testing.T) {
	data := tiny(t)
	for cut := range data {
		if _, err := wtns.Parse(data[:cut]); err == nil {
			t.Fatalf("a witness cut at %d is accepted", cut)
		}
	}
	for name, at := range map[string]int{"magic": 0, "version": 5, "section": 12, "length": 16, "field size": 24, "prime": 28, "count": 60, "one": 76, "range": 76 + 31} {
		copied := append([]byte(nil), data...)
		copied[at] ^= 0xf0
		if _, err := wtns.Parse(copied); err == nil {
			t.Errorf("%s: damage at byte %d is accepted", name, at)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tiny(f))
	f.Add(tiny(f)[:70])
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = wtns.Parse(data) })
}
