package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/keys"
)

func quiet(string, float64) {}

// rig is a circuit with keys and a true input.
type rig struct {
	t       *testing.T
	circuit *circuits.Circuit
	order   Order
}

func newRig(t *testing.T, c *circuits.Circuit, input string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t, c, Order{Circuit: c.Name, Keys: filepath.Join(dir, "keys"), Input: filepath.Join(dir, "input.json"),
		Proof: filepath.Join(dir, "proof"), Public: filepath.Join(dir, "public.json"), Threads: 2}}
	r.write(r.order.Input, []byte(input))
	return r
}

func selfTest(t *testing.T) *rig {
	r := newRig(t, circuits.SelfTest(), `{"x":"3"}`)
	r.setUp()
	return r
}

func (r *rig) write(path string, text []byte) {
	r.t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) read(path string) []byte {
	r.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

func (r *rig) setUp() {
	r.t.Helper()
	if _, err := r.order.SetUp(r.circuit, quiet); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) prove() *Made {
	r.t.Helper()
	made, err := r.order.Prove(r.circuit, quiet)
	if err != nil {
		r.t.Fatal(err)
	}
	return made
}

// refuse demands that an operation fails with a kind, and that nothing was written.
func (r *rig) refuse(err error, kind fault.Kind, names string) {
	r.t.Helper()
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != kind || !strings.Contains(known.Message, names) {
		r.t.Errorf("got %v, expected %s naming %q", err, kind, names)
	}
	for _, path := range []string{r.order.Proof, r.order.Public} {
		if _, err := os.Stat(path); err == nil {
			r.t.Errorf("%s was written", path)
		}
	}
}

func (r *rig) file(name string) string {
	r.t.Helper()
	store := keys.Store{Dir: r.order.Keys}
	m, err := store.Find(r.circuit, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return store.Path(m, name)
}

func TestProveAndVerify(t *testing.T) {
	r := selfTest(t)
	made := r.prove()
	if made.Values["y"] != "0x23" || !made.Insecure || made.Setup != keys.Development || len(made.VerifyingKey) != 64 {
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
	if !strings.Contains(contract, "INSECURE") || !strings.Contains(contract, "function verifyProof") {
		t.Error("the contract does not verify, or does not say where its key comes from")
	}
	if listed := List([]*circuits.Circuit{r.circuit}, &r.order); len(listed) != 1 || listed[0].Current != made.VerifyingKey || listed[0].Problem != "" {
		t.Errorf("listed %+v", listed)
	}
}

func TestTwoProofsOfAStatementDiffer(t *testing.T) {
	r := selfTest(t)
	if first, second := r.prove().Proof.SHA256, r.prove().Proof.SHA256; first == second {
		t.Error("proofs are not randomised")
	}
}

func TestEachByteOfAProofCounts(t *testing.T) {
	r := selfTest(t)
	r.prove()
	key, values := r.read(r.file("vk")), circuits.Values{"y": "0x23"}
	vk, err := readVerifyingKey(r.circuit.Scheme, key)
	if err != nil {
		t.Fatal(err)
	}
	proof := r.read(r.order.Proof)
	if err := verify(r.circuit, vk, proof, values); err != nil {
		t.Fatal(err)
	}
	for i := range proof {
		for _, change := range []byte{1, 0x80} {
			proof[i] ^= change
			var known *fault.Error
			if err := verify(r.circuit, vk, proof, values); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
				t.Errorf("byte %d: %v", i, err)
			}
			proof[i] ^= change
		}
	}
	for _, wrong := range [][]byte{nil, proof[:383], append(proof, 0), make([]byte, 384)} {
		if verify(r.circuit, vk, wrong, values) == nil {
			t.Errorf("a proof of %d bytes passes", len(wrong))
		}
	}
}

func TestPublicValuesCount(t *testing.T) {
	r := selfTest(t)
	r.prove()
	var public Public
	if err := json.Unmarshal(r.read(r.order.Public), &public); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(p *Public){
		"another value":   func(p *Public) { p.Values = circuits.Values{"y": "0x24"} },
		"no value":        func(p *Public) { p.Values = nil },
		"one too many":    func(p *Public) { p.Values = circuits.Values{"y": "0x23", "z": "0x1"} },
		"another circuit": func(p *Public) { p.Circuit = "other" },
		"another id":      func(p *Public) { p.CircuitID = strings.Repeat("0", 64) },
		"another key":     func(p *Public) { p.VerifyingKey = strings.Repeat("0", 64) },
	} {
		changed := public
		change(&changed)
		text, _ := json.Marshal(changed)
		r.write(r.order.Public, text)
		_, err := r.order.Verify(r.circuit)
		var known *fault.Error
		if !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.write(r.order.Public, []byte("{"))
	if _, err := r.order.Verify(r.circuit); err == nil {
		t.Error("public values that are no JSON pass")
	}
}

func TestAProofOfAnotherStatementIsRejected(t *testing.T) {
	r := selfTest(t)
	r.prove()
	r.write(r.order.Input, []byte(`{"x":"4"}`))
	_, err := r.order.Verify(r.circuit)
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != fault.InvalidProof || !strings.Contains(known.Message, "y") {
		t.Errorf("got %v", err)
	}
}

func TestFalseStatementsAreNotProved(t *testing.T) {
	r := selfTest(t)
	for input, kind := range map[string]fault.Kind{
		`{"x":"3","y":"36"}`: fault.InvalidWitness,
		`{"x":"4294967296"}`: fault.InvalidWitness,
		`{"x":"-1"}`:         fault.InvalidInput,
		`{`:                  fault.InvalidInput,
		``:                   fault.InvalidInput,
	} {
		r.write(r.order.Input, []byte(input))
		_, err := r.order.Prove(r.circuit, quiet)
		r.refuse(err, kind, "")
	}
}

func TestWithoutKeys(t *testing.T) {
	r := newRig(t, circuits.SelfTest(), `{"x":"3"}`)
	_, err := r.order.Prove(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "circuit setup")
	r.setUp()
	r.order.Setup = strings.Repeat("0", 64)
	_, err = r.order.Prove(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "missing")
	r.order.Setup, r.order.Secure = "", true
	_, err = r.order.Prove(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, "insecure")
}

// TestDamagedKeysAreRefused changes one byte of each file of a set-up at a time, each byte in turn.
func TestDamagedKeysAreRefused(t *testing.T) {
	r := selfTest(t)
	store := keys.Store{Dir: r.order.Keys}
	for _, name := range []string{"cs", "vk", "manifest.json"} {
		path := r.file(name)
		good := r.read(path)
		step := max(1, len(good)/80)
		for i := 0; i < len(good); i += step {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1
			r.write(path, bad)
			_, err := r.order.Prove(r.circuit, quiet)
			var known *fault.Error
			if name == "manifest.json" && err == nil {
				// a changed note, such as the time, does no harm
				_ = os.Remove(r.order.Proof)
				_ = os.Remove(r.order.Public)
			} else if !errors.As(err, &known) || known.Kind != fault.InvalidKey || !strings.Contains(known.Message, filepath.Dir(path)) {
				t.Fatalf("%s, byte %d: %v", name, i, err)
			}
		}
		r.write(path, good)
	}
	path := r.file("pk")
	good := r.read(path)
	m, err := store.Current(r.circuit.ID)
	if err != nil {
		t.Fatal(err)
	}
	refused, harmless := 0, 0
	for i := 16 << 10; i < len(good); i += 331 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		r.write(path, bad)
		if err := store.Audit(m); err == nil {
			t.Fatalf("pk, byte %d: the audit finds nothing", i)
		}
		if _, err := r.order.Prove(r.circuit, quiet); err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Fatalf("pk, byte %d: %v", i, err)
			}
			refused++
			continue
		}
		// padding, or a point that this witness multiplies by zero; the proof was verified
		harmless++
		if _, err := r.order.Verify(r.circuit); err != nil {
			t.Fatalf("pk, byte %d: %v", i, err)
		}
		_ = os.Remove(r.order.Proof)
		_ = os.Remove(r.order.Public)
	}
	if refused < 15 { // most of this small file is padding
		t.Errorf("%d changes of pk refused, %d harmless", refused, harmless)
	}
	for _, wrong := range [][]byte{nil, good[:len(good)-1], append(good, 0), make([]byte, len(good))} {
		r.write(path, wrong)
		_, err := r.order.Prove(r.circuit, quiet)
		r.refuse(err, fault.InvalidKey, path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = r.order.Prove(r.circuit, quiet)
	r.refuse(err, fault.InvalidKey, path)
}

func TestADamagedSetUpIsReplacedOnceItIsRemoved(t *testing.T) {
	r := selfTest(t)
	path := r.file("vk")
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	listed := List([]*circuits.Circuit{r.circuit}, &r.order)
	if len(listed[0].Setups) != 0 || !strings.Contains(listed[0].Problem, path) {
		t.Errorf("listed %+v", listed)
	}
	if _, err := r.order.SetUp(r.circuit, quiet); err == nil {
		t.Error("a damaged key is replaced behind its owner's back")
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	r.setUp()
	r.prove()
}

func TestAProofIsWhatTheContractTakes(t *testing.T) {
	r := selfTest(t)
	r.prove()
	file := r.read(r.order.Proof)
	proof, err := decodeProof(file, 1)
	if err != nil || !bytes.Equal(proof.MarshalSolidity(), file) {
		t.Errorf("gnark's form for Solidity is another: %v", err)
	}
}

func TestTwoSetUpsAtOnceMakeOneKey(t *testing.T) {
	r := newRig(t, circuits.SelfTest(), `{"x":"3"}`)
	left := filepath.Join(r.order.Keys, r.circuit.ID, ".unfinished-of-a-killed-process")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	r.write(filepath.Join(left, "pk"), []byte("half"))
	var group sync.WaitGroup
	ids, made := make([]string, 4), make([]bool, 4)
	for i := range ids {
		group.Add(1)
		go func() {
			defer group.Done()
			m, fresh, err := keys.Store{Dir: r.order.Keys}.Generate(circuits.SelfTest(), 1, quiet)
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
	if count != 1 {
		t.Errorf("%d set-ups were made", count)
	}
	entries, _ := filepath.Glob(filepath.Join(r.order.Keys, r.circuit.ID, ".unfinished-*"))
	if len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// many has two commitments, none if Plain is set, a wire that no constraint uses, and one that is always zero.
type many struct {
	Y      frontend.Variable `gnark:",public"`
	X      [8]frontend.Variable
	Unused frontend.Variable
	plain  bool
}

func (c *many) Define(api frontend.API) error {
	sum := frontend.Variable(0)
	for i := range c.X {
		sum = api.Add(sum, api.Mul(c.X[i], c.X[i]))
	}
	if committer, ok := api.(frontend.Committer); ok && !c.plain {
		for i := range 2 {
			commitment, err := committer.Commit(c.X[4*i : 4*i+4]...)
			if err != nil {
				return err
			}
			api.AssertIsDifferent(api.Mul(commitment, commitment), i)
		}
	}
	api.AssertIsEqual(sum, c.Y)
	return nil
}

func manyCircuit(t *testing.T, plain bool) *circuits.Circuit {
	assign := func(input []byte) (frontend.Circuit, circuits.Values, error) {
		c := &many{Y: 140, Unused: 9}
		for i := range c.X {
			c.X[i] = i
		}
		if string(input) == "false" {
			c.X[7] = 8
		}
		return c, circuits.Values{"y": "0x8c"}, nil
	}
	c := &circuits.Circuit{Name: fmt.Sprintf("many-%v", plain), New: func() frontend.Circuit { return &many{plain: plain} }, Assign: assign,
		Public: func(v circuits.Values) (frontend.Circuit, error) { return &many{Y: v["y"]}, nil }}
	compiled, err := circuits.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2; plain == (len(compiled.System.CommitmentInfo.CommitmentIndexes()) == want) {
		t.Fatalf("%d commitments", len(compiled.System.CommitmentInfo.CommitmentIndexes()))
	}
	c.ID, c.Constraints = compiled.ID, compiled.System.GetNbConstraints()
	return c
}

func TestCircuitsWithManyCommitmentsAndWithNone(t *testing.T) {
	for _, plain := range []bool{false, true} {
		r := newRig(t, manyCircuit(t, plain), "true")
		r.setUp()
		r.prove()
		if _, err := r.order.Verify(r.circuit); err != nil {
			t.Errorf("plain %v: %v", plain, err)
		}
		_ = os.Remove(r.order.Proof)
		_ = os.Remove(r.order.Public)
		r.write(r.order.Input, []byte("false"))
		_, err := r.order.Prove(r.circuit, quiet)
		r.refuse(err, fault.InvalidWitness, "")
		// a key of another circuit, under this one's name
		other := selfTest(t)
		foreign := other.read(other.file("pk"))
		path := r.file("pk")
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		r.write(path, foreign)
		r.write(r.order.Input, []byte("true"))
		_, err = r.order.Prove(r.circuit, quiet)
		r.refuse(err, fault.InvalidKey, path)
	}
}
