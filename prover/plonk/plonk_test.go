package plonk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/pace"
	"provery/prover/srs"
)

func quiet(string, float64) {}

// chain states that Out is In squared so many times, plus what the committed values give nothing to.
type chain struct {
	Out         [2]frontend.Variable `gnark:",public"`
	In          [2]frontend.Variable
	length      int
	commitments int
}

func (c *chain) Define(api frontend.API) error {
	for i := range c.In {
		value := c.In[i]
		for range c.length {
			value = api.Mul(value, value)
		}
		api.AssertIsEqual(api.Add(value, 1), c.Out[i])
	}
	for i := range c.commitments {
		commitment, err := api.(frontend.Committer).Commit(c.In[i%2], api.Mul(c.In[0], c.In[1]))
		if err != nil {
			return err
		}
		api.AssertIsDifferent(api.Mul(commitment, commitment), i)
	}
	return nil
}

// rig is a circuit with an SRS, a key and a true witness.
type rig struct {
	t       *testing.T
	id      string
	system  *cs.SparseR1CS
	store   srs.Store
	srs     *srs.Manifest
	path    string
	vk      *gnark.VerifyingKey
	witness witness.Witness
	public  fr.Vector
}

func newRig(t *testing.T, length, commitments int) *rig {
	t.Helper()
	assignment := &chain{length: length}
	for i := range assignment.In {
		var value fr.Element
		value.SetUint64(uint64(3 + i))
		assignment.In[i] = value
		for range length {
			value.Square(&value)
		}
		one := fr.One()
		assignment.Out[i] = *value.Add(&value, &one)
	}
	c := &circuits.Circuit{Name: "chain", Scheme: circuits.Plonk, New: func() frontend.Circuit { return &chain{length: length, commitments: commitments} }}
	compiled, err := circuits.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, id: compiled.ID, system: compiled.Sparse, store: srs.In(t.TempDir()), path: filepath.Join(t.TempDir(), "pk")}
	if r.srs, err = r.store.Make(Power(r.system), 2, quiet); err != nil {
		t.Fatal(err)
	}
	if r.witness, err = circuits.Witness(assignment, false); err != nil {
		t.Fatal(err)
	}
	r.public = r.witness.Vector().(fr.Vector)[:2]
	powers := r.open()
	defer powers.Close()
	p := pace.New(quiet, Steps)
	defer p.Stop()
	if r.vk, err = Setup(r.system, r.id, r.srs.SRSID, powers, r.path, 2, p); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) open() *srs.SRS {
	r.t.Helper()
	powers, err := r.store.Open(r.srs, Power(r.system))
	if err != nil {
		r.t.Fatal(err)
	}
	return powers
}

func (r *rig) key() (*Key, error) {
	info, err := os.Stat(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	return Open(r.path, info.Size(), r.id, r.srs.SRSID, r.system, r.vk, r.open())
}

func (r *rig) prove() (*gnark.Proof, error) {
	key, err := r.key()
	if err != nil {
		r.t.Fatal(err)
	}
	defer key.Close()
	return Prove(r.system, key, r.witness, 2, func(string) {})
}

func (r *rig) file() []byte {
	r.t.Helper()
	proof, err := r.prove()
	if err != nil {
		r.t.Fatal(err)
	}
	return EncodeProof(proof)
}

// gnarkKeys are those of gnark's own set-up.
func (r *rig) gnarkKeys() (*gnark.ProvingKey, *gnark.VerifyingKey) {
	r.t.Helper()
	powers := r.open()
	r.t.Cleanup(powers.Close)
	canonical := kzg.SRS{Pk: kzg.ProvingKey{G1: powers.G1}, Vk: kzg.VerifyingKey{G1: powers.G1[0], G2: powers.G2}}
	canonical.Vk.Lines[0], canonical.Vk.Lines[1] = bn254.PrecomputeLines(powers.G2[0]), bn254.PrecomputeLines(powers.G2[1])
	pk, vk, err := gnark.Setup(r.system, canonical, kzg.SRS{Pk: kzg.ProvingKey{G1: powers.Lagrange}})
	if err != nil {
		r.t.Fatal(err)
	}
	return pk, vk
}

// sizes are circuits from the smallest domains on, where the quotient's parts overlap, to one of several threads'.
var sizes = []struct{ length, commitments int }{{0, 0}, {1, 0}, {2, 0}, {5, 0}, {5, 1}, {40, 2}, {5000, 0}, {5000, 1}}

func TestProofsVerify(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRig(t, size.length, size.commitments)
			proof, err := r.prove()
			if err != nil {
				t.Fatal(err)
			}
			// by gnark, as it stands
			if err := gnark.Verify(proof, r.vk, r.public); err != nil {
				t.Errorf("gnark's verifier: %v", err)
			}
			file := EncodeProof(proof)
			if err := Verify(file, r.vk, r.public); err != nil {
				t.Error(err)
			}
			if bytes.Equal(r.file(), file) {
				t.Error("proofs are not randomised")
			}
			for i := range r.public {
				changed := append(fr.Vector(nil), r.public...)
				changed[i].Double(&changed[i])
				if err := Verify(file, r.vk, changed); err == nil {
					t.Errorf("holds for another public value %d", i)
				}
			}
			if err := Verify(file, r.vk, r.public[:1]); err == nil {
				t.Error("holds for a public value too few")
			}
		})
	}
}

func TestKeysAreGnarks(t *testing.T) {
	for _, size := range sizes {
		r := newRig(t, size.length, size.commitments)
		pk, vk := r.gnarkKeys()
		mine, err := EncodeVerifyingKey(r.vk)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := EncodeVerifyingKey(vk)
		if err != nil || !bytes.Equal(mine, theirs) {
			t.Errorf("%v: the verifying key is another than gnark's: %v", size, err)
		}
		again, err := DecodeVerifyingKey(mine)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := gnark.Prove(r.system, pk, r.witness)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(EncodeProof(proof), again, r.public); err != nil {
			t.Errorf("%v: gnark's proof: %v", size, err)
		}
	}
}

func TestEachByteOfAProofCounts(t *testing.T) {
	for commitments := range 2 {
		r := newRig(t, 4, commitments)
		file := r.file()
		if want := 768 + 96*commitments; len(file) != want {
			t.Errorf("a proof has %d bytes, expected %d", len(file), want)
		}
		for i := range file {
			for _, change := range []byte{1, 0x40, 0x80} {
				file[i] ^= change
				var known *fault.Error
				if err := Verify(file, r.vk, r.public); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
					t.Errorf("byte %d: %v", i, err)
				}
				file[i] ^= change
			}
		}
		for _, wrong := range [][]byte{nil, file[:len(file)-1], append(file[:len(file):len(file)], 0), make([]byte, len(file))} {
			if Verify(wrong, r.vk, r.public) == nil {
				t.Errorf("a proof of %d bytes passes", len(wrong))
			}
		}
	}
}

// TestOneFormOfAProof takes what other readers might take for the same proof.
func TestOneFormOfAProof(t *testing.T) {
	r := newRig(t, 4, 1)
	file := r.file()
	add := func(modulus []byte, at int) []byte {
		out, carry := append([]byte(nil), file...), 0
		for i := 31; i >= 0; i-- {
			sum := int(out[at+i]) + int(modulus[i]) + carry
			out[at+i], carry = byte(sum), sum>>8
		}
		if carry > 0 {
			return nil
		}
		return out
	}
	order, field := fr.Modulus().FillBytes(make([]byte, 32)), bn254.ID.BaseField().FillBytes(make([]byte, 32))
	for name, c := range map[string]struct {
		modulus []byte
		at      int
	}{"coordinate": {field, 0}, "claimed value": {order, 6 * 64}, "z at ωζ": {order, 6*64 + 5*32 + 64}, "selector": {order, 768}} {
		wrong := add(c.modulus, c.at)
		if wrong == nil {
			continue
		}
		if err := Verify(wrong, r.vk, r.public); err == nil || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("%s plus the modulus: %v", name, err)
		}
	}
	infinite := append([]byte(nil), file...)
	clear(infinite[64:128])
	if err := Verify(infinite, r.vk, r.public); err == nil || !strings.Contains(err.Error(), "infinity") {
		t.Errorf("infinity: %v", err)
	}
}

func TestOtherKeysAndStrings(t *testing.T) {
	r, other := newRig(t, 4, 0), newRig(t, 5, 0)
	same := newRig(t, 4, 0) // the same circuit with another SRS
	file := r.file()
	for name, vk := range map[string]*gnark.VerifyingKey{"circuit": other.vk, "SRS": same.vk} {
		var known *fault.Error
		if err := Verify(file, vk, r.public); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Errorf("another %s: %v", name, err)
		}
	}
	info, err := os.Stat(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (*Key, error){
		"another circuit": func() (*Key, error) {
			return Open(r.path, info.Size(), other.id, r.srs.SRSID, r.system, r.vk, r.open())
		},
		"another SRS": func() (*Key, error) {
			return Open(r.path, info.Size(), r.id, other.srs.SRSID, r.system, r.vk, r.open())
		},
		"another size": func() (*Key, error) {
			return Open(r.path, info.Size()-1, r.id, r.srs.SRSID, r.system, r.vk, r.open())
		},
		"another system": func() (*Key, error) {
			wide := newRig(t, 100, 0)
			return Open(r.path, info.Size(), r.id, r.srs.SRSID, wide.system, r.vk, r.open())
		},
		"an SRS for another domain": func() (*Key, error) {
			wide := newRig(t, 100, 0)
			return Open(r.path, info.Size(), r.id, r.srs.SRSID, r.system, r.vk, wide.open())
		},
		"another key": func() (*Key, error) {
			wide := newRig(t, 100, 0)
			return Open(r.path, info.Size(), r.id, r.srs.SRSID, r.system, wide.vk, r.open())
		},
	} {
		if key, err := open(); err == nil {
			key.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestFalseWitnesses(t *testing.T) {
	r := newRig(t, 4, 0)
	wrong, err := circuits.Witness(&chain{Out: [2]frontend.Variable{1, 2}, In: [2]frontend.Variable{3, 4}, length: 4}, false)
	if err != nil {
		t.Fatal(err)
	}
	r.witness = wrong
	var known *fault.Error
	if _, err := r.prove(); !errors.As(err, &known) || known.Kind != fault.InvalidWitness {
		t.Error(err)
	}
}

func TestVerifyingKeysHaveOneForm(t *testing.T) {
	for commitments := range 3 {
		r := newRig(t, 4, commitments)
		good, err := EncodeVerifyingKey(r.vk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeVerifyingKey(good); err != nil {
			t.Fatal(err)
		}
		changed := func(at int, value byte) []byte {
			out := append([]byte(nil), good...)
			out[at] = value
			return out
		}
		for name, wrong := range map[string][]byte{
			"empty": nil, "short": good[:len(good)-1], "long": append(good[:len(good):len(good)], 0), "headless": good[8:], "zeros": make([]byte, len(good)),
			// lists that claim gigabytes
			"commitments": changed(lengthAt, 0xff), "places": changed(len(good)-8*commitments-4, 0xff),
		} {
			var known *fault.Error
			if _, err := DecodeVerifyingKey(wrong); !errors.As(err, &known) || known.Kind != fault.InvalidKey {
				t.Errorf("%s key: %v", name, err)
			}
		}
	}
}
