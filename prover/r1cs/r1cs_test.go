package r1cs_test

import (
	"os"
	"testing"

	"provery/prover/r1cs"
)

func tiny(t testing.TB) []byte {
	data, err := os.ReadFile("../testdata/tiny.r1cs")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRefusesEveryTruncation(t *testing.T) {
	data := tiny(t)
	if _, err := r1cs.Parse(data); err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if _, err := r1cs.Parse(data[:cut]); err == nil {
			t.Fatalf("a system cut at %d is accepted", cut)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tiny(f))
	f.Add(tiny(f)[:300])
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = r1cs.Parse(data) })
}
