package rescue

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/gadgettest"
)

const vectors = "../../../provery/systems/hotshot/vectors/"

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(vectors + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func decimal(t *testing.T, text string) (x fr.Element) {
	t.Helper()
	if _, err := x.SetString(text); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestConstants(t *testing.T) {
	var file struct {
		Modulus string     `json:"modulus"`
		Root    string     `json:"alpha_inv"`
		Matrix  [][]string `json:"mds"`
		Keys    [][]string `json:"permutation_round_keys"`
	}
	read(t, "rescue_bn254_constants.json", &file)
	if file.Modulus != fr.Modulus().String() || len(file.Matrix) != width || len(file.Keys) != len(keys) {
		t.Fatalf("modulus %s, %d rows, %d keys", file.Modulus, len(file.Matrix), len(file.Keys))
	}
	for i, row := range file.Matrix {
		for j, text := range row {
			if decimal(t, text) != mds[i][j] {
				t.Errorf("matrix[%d][%d]", i, j)
			}
		}
	}
	for r, key := range file.Keys {
		for i, text := range key {
			if decimal(t, text) != keys[r][i] {
				t.Errorf("key %d[%d]", r, i)
			}
		}
	}
	x := decimal(t, "123456789")
	y := *root(&x)
	var fifth fr.Element
	fifth.Square(&y).Square(&fifth).Mul(&fifth, &y)
	if fifth != x {
		t.Error("the root's fifth power is another number")
	}
}

type sumCircuit struct {
	In  []frontend.Variable
	Out frontend.Variable `gnark:",public"`
}

func (c *sumCircuit) Define(api frontend.API) error {
	out, err := New(api).Sum(c.In...)
	if err != nil {
		return err
	}
	api.AssertIsEqual(out, c.Out)
	return nil
}

func assign(in []fr.Element, out fr.Element) *sumCircuit {
	c := &sumCircuit{Out: out}
	for _, v := range in {
		c.In = append(c.In, v)
	}
	return c
}

// The vectors are the original's.
func TestVectors(t *testing.T) {
	var file struct {
		Hashes []struct {
			In  []string `json:"in"`
			Out string   `json:"out"`
		} `json:"crhf"`
		Zero []string `json:"permutation_of_zero"`
	}
	read(t, "rescue_bn254_vectors.json", &file)
	var state [width]fr.Element
	permute(&state)
	for i, text := range file.Zero {
		if decimal(t, text) != state[i] {
			t.Errorf("permutation of zero: element %d is %s, expected %s", i, state[i].String(), text)
		}
	}
	if len(file.Zero) != width || len(file.Hashes) < 6 {
		t.Fatal("vectors are missing")
	}
	for _, vector := range file.Hashes {
		var in []fr.Element
		for _, text := range vector.In {
			in = append(in, decimal(t, text))
		}
		out := decimal(t, vector.Out)
		if Native(in...) != out {
			t.Errorf("%v has another hash", vector.In)
		}
		system := gadgettest.Compile(t, &sumCircuit{In: make([]frontend.Variable, len(in))})
		gadgettest.Honest(t, system, assign(in, out))
		for at := range in {
			forged := slices.Clone(in)
			forged[at].SetUint64(99)
			gadgettest.Forged(t, "an input", system, assign(forged, out))
		}
		out.SetUint64(5)
		gadgettest.Forged(t, "the hash", system, assign(in, out))
	}
}

// computed states nothing of the hash, so that an answer of a prover's own can only fail where it is bound.
type computed struct{ In []frontend.Variable }

func (c *computed) Define(api frontend.API) error {
	_, err := New(api).Sum(c.In...)
	return err
}

func TestRootsAreBound(t *testing.T) {
	in := []frontend.Variable{4, 5, 6, 7}
	gadgettest.Lies(t, gadgettest.Compile(t, &computed{make([]frontend.Variable, len(in))}), &computed{in}, 2*width*rounds)
}

// Zeros at the end must not be free: they fill blocks.
func TestLengthIsBound(t *testing.T) {
	one := decimal(t, "1")
	if Native(one) == Native(one, fr.Element{}) || Native() == Native(one) {
		t.Error("another length has the same hash")
	}
}
