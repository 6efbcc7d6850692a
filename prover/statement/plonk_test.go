package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/keys"
	"provery/prover/srs"
)

func plonkTest(t *testing.T) *rig {
	r := newRig(t, circuits.SelfTestPlonk(), `{"x":"3"}`)
	r.setUp()
	return r
}

func TestPlonkProveAndVerify(t *testing.T) {
	r := plonkTest(t)
	made := r.prove()
	if made.Values["y"] != "0x23" || !made.Insecure || made.Setup != srs.Development || made.Scheme != "plonk" || made.Proof.Bytes != 768+96 {
		t.Errorf("made %+v", made)
	}
	public, err := r.order.Verify(r.circuit)
	if err != nil || public.Values["y"] != "0x23" {
		t.Errorf("verified %v, %v", public, err)
	}
	exported := r.order
	exported.Out = t.TempDir()
	if _, err := exported.ExportVerifier(r.circuit); err != nil {
		t.Fatal(err)
	}
	alone := Order{VerifyingKey: filepath.Join(exported.Out, "verifying_key.bin"), Proof: r.order.Proof, Public: r.order.Public}
	if _, err := alone.Verify(r.circuit); err != nil {
		t.Errorf("with the exported key: %v", err)
	}
	contract := string(r.read(filepath.Join(exported.Out, "verifier.sol")))
	if !strings.Contains(contract, "INSECURE") || !strings.Contains(contract, "contract PlonkVerifier") || !strings.Contains(contract, ", SRS ") {
		t.Error("the contract does not verify, or does not say where its key comes from")
	}
	listed := List([]*circuits.Circuit{r.circuit}, &r.order)
	if len(listed) != 1 || listed[0].Current != made.VerifyingKey || listed[0].Problem != "" || listed[0].Scheme != "plonk" {
		t.Errorf("listed %+v", listed)
	}
	if first, second := r.prove().Proof.SHA256, r.prove().Proof.SHA256; first == second {
		t.Error("proofs are not randomised")
	}
}

func TestPlonkProofsAndPublicValuesCount(t *testing.T) {
	r := plonkTest(t)
	r.prove()
	good := r.read(r.order.Proof)
	for i := 0; i < len(good); i += 11 { // package plonk tries them all
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		r.write(r.order.Proof, bad)
		var known *fault.Error
		if _, err := r.order.Verify(r.circuit); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	r.write(r.order.Proof, good)
	text := string(r.read(r.order.Public))
	for old, new := range map[string]string{
		`"plonk"`: `"groth16"`, `"0x23"`: `"0x24"`, "  \"scheme\": \"plonk\",\n": "", `"scheme"`: `"Scheme"`, r.circuit.ID: circuits.SelfTest().ID,
	} {
		changed := strings.Replace(text, old, new, 1)
		if changed == text {
			t.Fatalf("%s is not in %s", old, text)
		}
		r.write(r.order.Public, []byte(changed))
		var known *fault.Error
		if _, err := r.order.Verify(r.circuit); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Errorf("%s for %s: %v", new, old, err)
		}
	}
}

// TestSchemesDoNotMix verifies proofs of each scheme as if they were of the other.
func TestSchemesDoNotMix(t *testing.T) {
	plonk, groth := plonkTest(t), selfTest(t)
	plonk.prove()
	groth.prove()
	for _, c := range []struct{ proof, as *rig }{{plonk, groth}, {groth, plonk}} {
		order := c.proof.order
		order.Keys = c.as.order.Keys
		var known *fault.Error
		if _, err := order.Verify(c.as.circuit); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Errorf("%s as %s: %v", c.proof.circuit.Name, c.as.circuit.Name, err)
		}
		vk, err := readVerifyingKey(c.as.circuit.Scheme, c.as.read(c.as.file("vk")))
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(c.as.circuit, vk, c.proof.read(c.proof.order.Proof), circuits.Values{"y": "0x23"}); err == nil {
			t.Error("a proof of the other scheme holds")
		}
		if _, err := readVerifyingKey(c.as.circuit.Scheme, c.proof.read(c.proof.file("vk"))); err == nil {
			t.Error("a key of the other scheme is taken")
		}
	}
	// with the scheme that goes without saying, said
	text := strings.Replace(string(groth.read(groth.order.Public)), `"verifying_key"`, `"scheme": "groth16", "verifying_key"`, 1)
	groth.write(groth.order.Public, []byte(text))
	if _, err := groth.order.Verify(groth.circuit); err == nil {
		t.Error("public values have two forms")
	}
	if _, err := keys.InitCeremony(plonk.circuit, t.TempDir()); err == nil || !strings.Contains(err.Error(), "srs import") {
		t.Errorf("a ceremony for PLONK: %v", err)
	}
	groth.order.SRS = strings.Repeat("0", 64)
	if _, err := groth.order.SetUp(groth.circuit, quiet); err == nil {
		t.Error("an SRS for Groth16")
	}
}

func TestPlonkWithAnotherSRS(t *testing.T) {
	r := plonkTest(t)
	first := r.prove()
	made, err := srs.In(r.order.Keys).Make(8, 1, quiet)
	if err != nil {
		t.Fatal(err)
	}
	named := r.order
	named.SRS = made.SRSID
	if _, err := named.SetUp(r.circuit, quiet); err != nil {
		t.Fatal(err)
	}
	// the proof is for the first key, the second is in use
	if _, err := r.order.Verify(r.circuit); err == nil {
		t.Error("a proof holds under another SRS")
	}
	pinned := r.order
	pinned.Setup = first.VerifyingKey
	if _, err := pinned.Verify(r.circuit); err != nil {
		t.Error(err)
	}
	second := r.prove()
	if second.VerifyingKey == first.VerifyingKey {
		t.Error("the key does not depend on the SRS")
	}
	// back to the first, which is not made again
	named.SRS = mustFind(t, r, first.VerifyingKey).Setup.SRS
	if _, err := named.SetUp(r.circuit, quiet); err != nil {
		t.Fatal(err)
	}
	if now := mustFind(t, r, ""); now.SetupID != first.VerifyingKey {
		t.Errorf("in use is %s", now.SetupID)
	}
	if found, _ := (keys.Store{Dir: r.order.Keys}).Setups(r.circuit.ID); len(found) != 2 {
		t.Errorf("%d set-ups", len(found))
	}
}

func mustFind(t *testing.T, r *rig, setup string) *keys.Manifest {
	t.Helper()
	m, err := keys.Store{Dir: r.order.Keys}.Find(r.circuit, setup)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPlonkKeysAreMadeAlike sets the circuit up twice with one SRS: there is nothing random in it.
func TestPlonkKeysAreMadeAlike(t *testing.T) {
	r := plonkTest(t)
	first := mustFind(t, r, "")
	if err := os.RemoveAll(filepath.Dir(r.file("vk"))); err != nil {
		t.Fatal(err)
	}
	r.setUp()
	if second := mustFind(t, r, ""); second.SetupID != first.SetupID || second.Files["pk"] != first.Files["pk"] {
		t.Error("the key of a circuit and an SRS is not determined")
	}
}

func TestSecurePlonkKeys(t *testing.T) {
	r := newRig(t, circuits.SelfTestPlonk(), `{"x":"3"}`)
	secure := r.order
	secure.Secure = true
	_, err := secure.SetUp(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "srs import")
	r.setUp()
	_, err = secure.SetUp(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "insecure")
	_, err = secure.Prove(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "insecure")
	_, err = secure.Strings("make", quiet)
	r.refuse(err, fault.InvalidKey, "insecure")
	// too small for the circuit, and not to be replaced by a development SRS
	imported := r.order
	imported.File = "../testdata/tiny.ptau"
	if _, err := imported.Strings("import", quiet); err != nil {
		t.Fatal(err)
	}
	named := r.order
	named.SRS = listStrings(srs.In(r.order.Keys)).Current
	_, err = named.SetUp(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "larger powers-of-tau file")
	if err := os.RemoveAll(filepath.Join(r.order.Keys, r.circuit.ID)); err != nil {
		t.Fatal(err)
	}
	_, err = r.order.SetUp(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "larger powers-of-tau file")
}

// TestDamagedPlonkKeysAreRefused changes one byte of each file of a set-up and of its SRS at a time.
func TestDamagedPlonkKeysAreRefused(t *testing.T) {
	r := plonkTest(t)
	m := mustFind(t, r, "")
	powers := srs.In(r.order.Keys)
	from, err := powers.Manifest(m.Setup.SRS)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{r.file("cs"), r.file("vk"), r.file("manifest.json"), r.file("pk"), powers.Path(from, "g1"),
		powers.Path(from, "lagrange-07"), powers.Path(from, "manifest.json")} {
		good := r.read(path)
		refused := 0
		for i := 0; i < len(good); i += max(1, len(good)/15) {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1
			r.write(path, bad)
			_, err := r.order.Prove(r.circuit, quiet)
			var known *fault.Error
			if err == nil {
				// padding, a note such as the time, a form of the header that means the same: the proof was verified
				_ = os.Remove(r.order.Proof)
				_ = os.Remove(r.order.Public)
				continue
			}
			refused++
			if !errors.As(err, &known) || known.Kind != fault.InvalidKey && known.Kind != fault.CorruptArtifact || !strings.Contains(known.Message, r.order.Keys) {
				t.Fatalf("%s, byte %d: %v", path, i, err)
			}
		}
		if refused == 0 {
			t.Errorf("%s: no change was refused", path)
		}
		for _, bad := range [][]byte{nil, good[:len(good)-1]} {
			r.write(path, bad)
			if _, err := r.order.Prove(r.circuit, quiet); err == nil {
				if !bytes.Contains(good, []byte("created_at")) || bad == nil {
					t.Errorf("%s of %d bytes passes", path, len(bad))
				}
				_ = os.Remove(r.order.Proof)
				_ = os.Remove(r.order.Public)
			}
		}
		r.write(path, good)
	}
	r.prove()
	if err := os.RemoveAll(filepath.Dir(powers.Path(from, "g1"))); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(r.order.Proof)
	_ = os.Remove(r.order.Public)
	_, err = r.order.Prove(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, from.SRSID)
}

func TestTwoPlonkSetUpsAtOnceMakeOneKey(t *testing.T) {
	r := newRig(t, circuits.SelfTestPlonk(), `{"x":"3"}`)
	var group sync.WaitGroup
	ids, made := make([]string, 4), make([]bool, 4)
	for i := range ids {
		group.Add(1)
		go func() {
			defer group.Done()
			m, fresh, err := keys.Store{Dir: r.order.Keys}.Derive(circuits.SelfTestPlonk(), keys.Choice{}, 1, quiet)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i], made[i] = m.SetupID, fresh
		}()
	}
	group.Wait()
	count := 0
	for i := range ids {
		if made[i] {
			count++
		}
		if ids[i] != ids[0] {
			t.Errorf("set-ups %v", ids)
		}
	}
	listed := listStrings(srs.In(r.order.Keys))
	if count != 1 || len(listed.Strings) != 1 {
		t.Errorf("%d set-ups and %d SRSs were made", count, len(listed.Strings))
	}
}

// square is small enough for the SRS among the test vectors.
type square struct {
	Y frontend.Variable `gnark:",public"`
	X frontend.Variable
}

func (c *square) Define(api frontend.API) error {
	api.AssertIsEqual(api.Mul(c.X, c.X), c.Y)
	return nil
}

// TestAnSRSThatIsVouchedForLaterMakesItsKeysSecure imports a file first without and then with its digest.
func TestAnSRSThatIsVouchedForLaterMakesItsKeysSecure(t *testing.T) {
	c := &circuits.Circuit{Name: "square", Scheme: circuits.Plonk, New: func() frontend.Circuit { return new(square) },
		Assign: func([]byte) (frontend.Circuit, circuits.Values, error) {
			return &square{9, 3}, circuits.Values{"y": "0x9"}, nil
		},
		Public: func(v circuits.Values) (frontend.Circuit, error) { return &square{Y: v["y"]}, nil }}
	compiled, err := circuits.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	c.ID, c.Constraints = compiled.ID, compiled.Constraints()
	r := newRig(t, c, "")
	r.order.File = "../testdata/tiny.ptau"
	if _, err := r.order.Strings("import", quiet); err != nil {
		t.Fatal(err)
	}
	r.setUp()
	if made := r.prove(); !made.Insecure || made.Setup != srs.Imported {
		t.Errorf("made %+v", made)
	}
	secure := r.order
	secure.Secure = true
	if _, err := secure.Verify(r.circuit); err == nil {
		t.Error("an unknown file's key is secure")
	}
	r.order.Digest = listStrings(srs.In(r.order.Keys)).Strings[0].Origin.Source
	if _, err := r.order.Strings("import", quiet); err != nil {
		t.Fatal(err)
	}
	if _, err := secure.SetUp(r.circuit, quiet); err != nil {
		t.Fatal(err)
	}
	if made, err := secure.Prove(r.circuit, quiet); err != nil || made.Insecure || made.Setup != keys.Ceremony {
		t.Errorf("made %+v, %v", made, err)
	}
	if _, err := secure.Verify(r.circuit); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(mustFind(t, r, "").Setup)
	if err != nil || !bytes.Contains(text, []byte(`"source_sha256":"`+r.order.Digest)) {
		t.Errorf("the manifest says %s", text)
	}
}
