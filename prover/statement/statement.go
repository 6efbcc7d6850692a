// Package statement proves and verifies statements of circuits with keys from a store.
package statement

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime/debug"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/binfile"
	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/keys"
	"provery/prover/mapfile"
	"provery/prover/pace"
)

// maxInputBytes bounds inputs, proofs and public values read.
const maxInputBytes = 16 << 20

// gcPercent is how much garbage may gather while proving, in percent of what is alive: at 100 a proof takes 3 GB at its
// peak, at 50 2.2 GB and no more time.
const gcPercent = 50

// shortProof is the number of constraints up to which garbage does not count: collecting it would take longer than it is
// there.
const shortProof = 1 << 17

// groth16Steps are those of a proof, with the seconds that a million constraints take on two cores.
var groth16Steps = []pace.Step{
	pace.Usual("load", "load", 0.4),
	pace.Usual("solve", "solve", 1.5),
	pace.Usual("quotient", "prove", 4.5),
	pace.Usual("sum z", "prove", 4),
	pace.Usual("sum k", "prove", 1.6),
	pace.Usual("sum a", "prove", 3),
	pace.Usual("sum b", "prove", 2.8),
	pace.Usual("verify", "verify", 0.01),
}

// Public is the file beside a proof: what a verifier needs besides the key.
type Public struct {
	Circuit   string `json:"circuit"`
	CircuitID string `json:"circuit_id"`
	// Scheme is empty for Groth16.
	Scheme string `json:"scheme,omitempty"`
	// VerifyingKey is the SHA-256 of the verifying key, and the id of its set-up.
	VerifyingKey string          `json:"verifying_key"`
	Values       circuits.Values `json:"public"`
}

// Made is what Prove has written.
type Made struct {
	Public
	// Setup is the kind of the key's set-up.
	Setup      string          `json:"setup"`
	Insecure   bool            `json:"insecure"`
	Proof      binfile.Written `json:"proof"`
	PublicFile binfile.Written `json:"public_file"`
	// Steps are how long each took, in seconds of wall time.
	Steps map[string]float64 `json:"steps_s"`
}

// Check reads an input and tells whether its statement is true, in milliseconds and without keys.
func Check(c *circuits.Circuit, path string) (circuits.Values, error) {
	_, values, err := assign(c, path)
	return values, err
}

func assign(c *circuits.Circuit, path string) (frontend.Circuit, circuits.Values, error) {
	input, err := readBounded(path)
	if err != nil {
		return nil, nil, err
	}
	return c.Assign(input)
}

// Prove makes a proof, verifies it, and writes it.
func (o *Order) Prove(c *circuits.Circuit, progress pace.Tell) (*Made, error) {
	store, manifest, err := o.allowed(c)
	if err != nil {
		return nil, err
	}
	assignment, values, err := assign(c, o.Input)
	if err != nil {
		return nil, err
	}
	witness, err := circuits.Witness(assignment, false)
	if err != nil {
		return nil, err
	}
	p := pace.New(progress, pace.Scale(stepsOf(c.Scheme), manifest.Constraints))
	defer p.Stop()
	use := once
	if c.Resident && o.Residents != nil {
		use = o.Residents.use
	}
	if manifest.Constraints > shortProof {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	p.Begin("load")
	read := func() (verifyingKey, error) {
		text, err := store.Read(manifest, "vk")
		if err != nil {
			return nil, err
		}
		return readVerifyingKey(c.Scheme, text)
	}
	var file []byte
	err = mapfile.Guard(func() error {
		return use(store, manifest, o.Threads, read, func(vk verifyingKey, with instrument) (err error) {
			if file, err = with.prove(witness, o.Threads, p.Begin); err != nil {
				return err
			}
			p.Begin("verify")
			if err := verify(c, vk, file, values); err != nil {
				return fault.New(fault.Internal, "the proof made does not verify: %v", err)
			}
			return nil
		})
	})
	var known *fault.Error
	if err != nil && (!errors.As(err, &known) || known.Kind == fault.Internal || errors.Is(err, mapfile.ErrUnreadable)) {
		return nil, blame(store, manifest, err)
	}
	if err != nil {
		return nil, err
	}
	public := Public{Circuit: c.Name, CircuitID: manifest.CircuitID, Scheme: manifest.Scheme, VerifyingKey: manifest.SetupID, Values: values}
	return o.write(&Made{Public: public, Setup: manifest.Setup.Kind, Insecure: manifest.Setup.Insecure, Steps: p.Stop()}, file)
}

// blame finds the damage in a key's files that a failure comes from, if that is what it comes from.
func blame(store keys.Store, manifest *keys.Manifest, err error) error {
	if damage := store.Audit(manifest); damage != nil {
		return damage
	}
	return err
}

func (o *Order) write(made *Made, proof []byte) (*Made, error) {
	text, err := json.MarshalIndent(made.Public, "", "  ")
	if err != nil {
		return nil, err
	}
	if made.PublicFile, err = binfile.WriteAtomic(o.Public, append(text, '\n')); err != nil {
		return nil, err
	}
	if made.Proof, err = binfile.WriteAtomic(o.Proof, proof); err != nil {
		_ = os.Remove(o.Public)
	}
	return made, err
}

func verify(c *circuits.Circuit, vk verifyingKey, file []byte, values circuits.Values) error {
	assignment, err := c.Public(values)
	if err != nil {
		return fault.New(fault.InvalidProof, "%v", err)
	}
	witness, err := circuits.Witness(assignment, true)
	if err != nil {
		return err
	}
	vector, ok := witness.Vector().(fr.Vector)
	if !ok || len(vector) != vk.inputs() {
		return fault.New(fault.InvalidKey, "the verifying key takes %d public inputs, circuit %s has %d", vk.inputs(), c.Name, len(vector))
	}
	return vk.verify(file, vector)
}

// Verify checks a proof and its public values against a verifying key given as bytes. Where input is not empty, the
// public values must be those of that input's statement, which is checked too.
func Verify(c *circuits.Circuit, key []byte, proofPath, publicPath, input string) (*Public, error) {
	file, err := readBounded(proofPath)
	if err != nil {
		return nil, err
	}
	text, err := readBounded(publicPath)
	if err != nil {
		return nil, err
	}
	public, err := readPublic(text)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(key)
	if id := hex.EncodeToString(digest[:]); public.VerifyingKey != id || public.CircuitID != c.ID || public.Circuit != c.Name || public.Scheme != schemeName(c.Scheme) {
		return nil, fault.New(fault.InvalidProof, "the proof is for key %.16s of circuit %.80s (%.16s), expected key %.16s of circuit %s (%.16s)",
			public.VerifyingKey, public.Circuit, public.CircuitID, id, c.Name, c.ID)
	}
	vk, err := readVerifyingKey(c.Scheme, key)
	if err != nil {
		return nil, err
	}
	if input != "" {
		stated, err := Check(c, input)
		if err != nil {
			return nil, err
		}
		for name, value := range stated {
			if public.Values[name] != value {
				return nil, fault.New(fault.InvalidProof, "public value %s is %q, the input says %s", name, fault.Shorten(public.Values[name], 80), value)
			}
		}
	}
	return public, verify(c, vk, file, public.Values)
}

// readPublic reads what is beside a proof. But for white space the file has one form: of two values of one name, or of
// names that differ in case, other readers might take another one than was verified.
func readPublic(text []byte) (*Public, error) {
	public := new(Public)
	if err := json.Unmarshal(text, public); err != nil {
		return nil, fault.New(fault.InvalidProof, "public values are not the expected JSON: %s", fault.Shorten(err.Error(), 200))
	}
	var given bytes.Buffer
	if err := json.Compact(&given, text); err != nil {
		return nil, err
	}
	if again, err := json.Marshal(public); err != nil || !bytes.Equal(again, given.Bytes()) {
		return nil, fault.New(fault.InvalidProof, "public values are not in their form: expected circuit, circuit_id, scheme unless it is groth16, verifying_key and public, once each and in this order")
	}
	return public, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxInputBytes+1))
	if err == nil && len(text) > maxInputBytes {
		return nil, fault.New(fault.InvalidInput, "%s has more than %d bytes", path, maxInputBytes)
	}
	return text, err
}
