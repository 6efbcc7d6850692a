package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"

	"provery/prover/binfile"
	"provery/prover/circuits"
	"provery/prover/depot"
	"provery/prover/fault"
	"provery/prover/pace"
)

// A ceremony makes keys that are secure if one of all contributors was honest and forgot its secrets. It has two
// phases, each a chain of contributions that a public random value, the beacon, ends: the first is about the circuit's
// size only, the second about the circuit. A ceremony is a directory that contributors pass on: ceremony.json and one
// file for each contribution, phase1-0001 and so on.
//
// Source: Bowe, Gabizon, Miers: Scalable multi-party computation for zk-SNARK parameters in the random beacon model,
// 2017; gnark backend/groth16/bn254/mpcsetup.
type ceremony struct {
	dir     string
	circuit *circuits.Circuit
	tell    pace.Tell
	State   CeremonyState
}

// CeremonyState is ceremony.json.
type CeremonyState struct {
	Format    int    `json:"format"`
	Circuit   string `json:"circuit"`
	CircuitID string `json:"circuit_id"`
	Domain    uint64 `json:"domain"`
	// Phase is 1 or 2, and 3 when keys have been made.
	Phase         int            `json:"phase"`
	Contributions []Contribution `json:"contributions"`
	// Beacons are the public random values that ended the phases, in hexadecimal.
	Beacons []string `json:"beacons"`
}

const (
	ceremonyFile = "ceremony.json"
	// beaconBytes is how long a beacon must be at least.
	beaconBytes = 16
)

// InitCeremony starts a ceremony for a circuit in an empty directory.
func InitCeremony(c *circuits.Circuit, dir string) (*CeremonyState, error) {
	if c.Scheme != circuits.Groth16 {
		return nil, fault.New(fault.InvalidInput, "circuit %s is proved by %s, which takes an SRS instead of a ceremony: `srs import`", c.Name, c.Scheme)
	}
	compiled, err := circuits.Compile(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fault.New(fault.InvalidInput, "%s is not empty; start a ceremony in a directory of its own", dir)
	}
	t := &ceremony{dir: dir, State: CeremonyState{Format: 1, Circuit: c.Name, CircuitID: compiled.ID,
		Domain: domainOf(compiled.System), Phase: 1,
		Contributions: []Contribution{}, Beacons: []string{}}}
	return &t.State, t.save()
}

// openCeremony reads a ceremony and compiles its circuit anew: nothing in the directory is believed about it.
func openCeremony(all []*circuits.Circuit, dir string, tell pace.Tell) (*ceremony, error) {
	path := filepath.Join(dir, ceremonyFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &ceremony{dir: dir, tell: tell}
	if err := json.Unmarshal(text, &t.State); err != nil || t.State.Format != 1 {
		return nil, fault.New(fault.InvalidInput, "%s is not a ceremony's state of format 1", path)
	}
	if t.circuit, err = circuits.Find(all, t.State.Circuit); err != nil {
		return nil, err
	}
	if t.State.Domain != ecc.NextPowerOfTwo(uint64(t.circuit.Constraints)) {
		return nil, fault.New(fault.InvalidInput, "%s gives a domain of %d for a circuit of %d constraints", path, t.State.Domain, t.circuit.Constraints)
	}
	if t.State.CircuitID != t.circuit.ID {
		return nil, fault.New(fault.InvalidKey, "the ceremony is for %s as %.16s, this program has %.16s", t.circuit.Name, t.State.CircuitID, t.circuit.ID)
	}
	return t, nil
}

func (t *ceremony) save() error {
	text, err := json.MarshalIndent(&t.State, "", "  ")
	if err != nil {
		return err
	}
	_, err = binfile.WriteAtomic(filepath.Join(t.dir, ceremonyFile), append(text, '\n'))
	return err
}

// Contribute adds randomness of this machine's to the phase at hand. The secrets are forgotten when it returns.
func Contribute(all []*circuits.Circuit, dir, name string, tell pace.Tell) (*CeremonyState, error) {
	t, err := openCeremony(all, dir, tell)
	if err != nil {
		return nil, err
	}
	if name == "" || len(name) > 80 {
		return nil, fault.New(fault.InvalidInput, "a contributor's name has 1 to 80 characters, got %d", len(name))
	}
	tell("read", 0)
	var last interface {
		io.WriterTo
		Contribute()
	}
	switch t.State.Phase {
	case 1:
		contributions, err := t.phase1()
		if err != nil {
			return nil, err
		}
		last = lastOf(contributions, mpcsetup.NewPhase1(t.State.Domain))
	case 2:
		if last, err = t.lastOfPhase2(); err != nil {
			return nil, err
		}
	default:
		return nil, fault.New(fault.InvalidInput, "the ceremony is over: its keys have been made")
	}
	tell("contribute", 0.1)
	last.Contribute()
	tell("write", 0.9)
	written, err := binfile.WriteSynced(t.path(t.State.Phase, t.count(t.State.Phase)+1), last)
	if err != nil {
		return nil, err
	}
	t.State.Contributions = append(t.State.Contributions, Contribution{t.State.Phase, name, written.SHA256})
	return &t.State, t.save()
}

// lastOfPhase2 returns the second phase's last contribution, or its start where there is none.
func (t *ceremony) lastOfPhase2() (*mpcsetup.Phase2, error) {
	contributions, err := t.phase2()
	if err != nil || len(contributions) > 0 {
		return lastOf(contributions, nil), err
	}
	return t.initial2()
}

// initial2 verifies the first phase and returns what the second's first contribution continues.
func (t *ceremony) initial2() (*mpcsetup.Phase2, error) {
	compiled, commons, err := t.start2()
	if err != nil {
		return nil, err
	}
	initial := new(mpcsetup.Phase2)
	initial.Initialize(compiled.System, commons)
	return initial, nil
}

// VerifyCeremony checks every contribution so far, from the first on.
func VerifyCeremony(all []*circuits.Circuit, dir string, tell pace.Tell) (*CeremonyState, error) {
	t, err := openCeremony(all, dir, tell)
	if err != nil {
		return nil, err
	}
	if t.State.Phase == 1 {
		return &t.State, t.verify1()
	}
	initial, err := t.initial2()
	if err != nil {
		return nil, err
	}
	contributions, err := t.phase2()
	if err != nil {
		return nil, err
	}
	return &t.State, verifyChain(t, 2, initial, contributions)
}

func (t *ceremony) verify1() error {
	contributions, err := t.phase1()
	if err != nil {
		return err
	}
	return verifyChain(t, 1, mpcsetup.NewPhase1(t.State.Domain), contributions)
}

// verifyChain checks that each contribution of a phase continues the one before.
func verifyChain[P interface{ Verify(next P) error }](t *ceremony, phase int, previous P, contributions []P) error {
	for i, next := range contributions {
		t.tell("verify", float64(i)/float64(len(contributions)))
		if err := previous.Verify(next); err != nil {
			return t.broken(phase, i, err)
		}
		previous = next
	}
	return nil
}

// Seal ends the phase at hand with a beacon, after checking all that came before. Sealing the second phase makes the
// keys, puts them into the store and into use.
func Seal(all []*circuits.Circuit, dir, beacon string, store Store, tell pace.Tell) (*CeremonyState, *Manifest, error) {
	t, err := openCeremony(all, dir, tell)
	if err != nil {
		return nil, nil, err
	}
	challenge, err := hex.DecodeString(beacon)
	if err != nil || len(challenge) < beaconBytes {
		return nil, nil, fault.New(fault.InvalidInput, "the beacon is %q, expected at least %d bytes in hexadecimal", fault.Shorten(beacon, 80), beaconBytes)
	}
	if t.State.Phase > 2 {
		return nil, nil, fault.New(fault.InvalidInput, "the ceremony is over: its keys have been made")
	}
	if t.count(t.State.Phase) == 0 {
		return nil, nil, fault.New(fault.InvalidInput, "nobody has contributed to phase %d: its secrets would be known", t.State.Phase)
	}
	phase := t.State.Phase
	t.State.Beacons = append(t.State.Beacons, hex.EncodeToString(challenge))
	t.State.Phase++
	var manifest *Manifest
	if phase == 1 {
		err = t.verify1()
	} else {
		manifest, err = t.makeKeys(challenge, store)
	}
	if err != nil {
		return nil, nil, err
	}
	return &t.State, manifest, t.save()
}

// makeKeys verifies the whole ceremony and installs the keys that come out of it.
func (t *ceremony) makeKeys(beacon []byte, store Store) (manifest *Manifest, err error) {
	compiled, commons, err := t.start2()
	if err != nil {
		return nil, err
	}
	contributions, err := t.phase2()
	if err != nil {
		return nil, err
	}
	t.tell("verify", 0.5)
	pk, vk, err := mpcsetup.VerifyPhase2(compiled.System, commons, beacon, contributions...)
	if err != nil {
		return nil, t.broken(2, len(contributions)-1, err)
	}
	proving, ok := pk.(*groth16.ProvingKey)
	verifying, ok2 := vk.(*groth16.VerifyingKey)
	if !ok || !ok2 {
		return nil, fault.New(fault.Internal, "the ceremony made a %T and a %T", pk, vk)
	}
	provenance := Provenance{Kind: Ceremony, Contributions: t.State.Contributions, Beacons: t.State.Beacons}
	err = depot.Locked(store.circuit(t.State.CircuitID), func() { t.tell("wait", 0.9) }, func(dir string) error {
		t.tell("install", 0.95)
		if err := writeKey(filepath.Join(dir, fileProving), t.State.CircuitID, proving); err != nil {
			return err
		}
		if err := writeVerifyingKey(filepath.Join(dir, fileVerify), verifying); err != nil {
			return err
		}
		manifest, err = store.install(dir, t.circuit, compiled, provenance)
		return err
	})
	return manifest, err
}

// start2 verifies the first phase and returns what the second starts from.
func (t *ceremony) start2() (*circuits.Compiled, *mpcsetup.SrsCommons, error) {
	t.tell("compile", 0)
	compiled, err := circuits.Compile(t.circuit)
	if err != nil {
		return nil, nil, err
	}
	contributions, err := t.phase1()
	if err != nil {
		return nil, nil, err
	}
	if len(t.State.Beacons) == 0 || len(contributions) == 0 {
		return nil, nil, fault.New(fault.InvalidInput, "phase 1 has not been sealed")
	}
	beacon, err := hex.DecodeString(t.State.Beacons[0])
	if err != nil || len(beacon) < beaconBytes {
		return nil, nil, fault.New(fault.InvalidInput, "the recorded beacon of phase 1 is malformed")
	}
	t.tell("verify", 0.1)
	commons, err := mpcsetup.VerifyPhase1(domainOf(compiled.System), beacon, contributions...)
	if err != nil {
		return nil, nil, t.broken(1, len(contributions)-1, err)
	}
	return compiled, &commons, nil
}

func (t *ceremony) phase1() ([]*mpcsetup.Phase1, error) {
	return readAll(t, 1, func() *mpcsetup.Phase1 { return new(mpcsetup.Phase1) })
}

func (t *ceremony) phase2() ([]*mpcsetup.Phase2, error) {
	return readAll(t, 2, func() *mpcsetup.Phase2 { return new(mpcsetup.Phase2) })
}

// readAll reads the contributions of a phase, each of which must have the recorded digest.
func readAll[P io.ReaderFrom](t *ceremony, phase int, empty func() P) (out []P, err error) {
	for i := range t.count(phase) {
		path := t.path(phase, i+1)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(text)
		if got, expected := hex.EncodeToString(digest[:]), t.digest(phase, i); got != expected {
			return nil, fault.New(fault.InvalidInput, "%s has SHA-256 %s, ceremony.json says %s", path, got, expected)
		}
		one := empty()
		if err := decode(one, text); err != nil {
			return nil, t.broken(phase, i, err)
		}
		out = append(out, one)
	}
	return out, nil
}

// decode reads a contribution; gnark panics at some malformed ones.
func decode(into io.ReaderFrom, text []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("malformed: %v", r)
		}
	}()
	reader := bytes.NewReader(text)
	if _, err := into.ReadFrom(reader); err != nil {
		return err
	}
	if reader.Len() > 0 {
		return fmt.Errorf("%d bytes too many", reader.Len())
	}
	return nil
}

func (t *ceremony) count(phase int) (n int) {
	for _, c := range t.State.Contributions {
		if c.Phase == phase {
			n++
		}
	}
	return n
}

func (t *ceremony) digest(phase, i int) string {
	for _, c := range t.State.Contributions {
		if c.Phase == phase {
			if i == 0 {
				return c.SHA256
			}
			i--
		}
	}
	return ""
}

func (t *ceremony) path(phase, number int) string {
	return filepath.Join(t.dir, fmt.Sprintf("phase%d-%04d", phase, number))
}

func (t *ceremony) broken(phase, i int, err error) error {
	return fault.New(fault.InvalidInput, "%s does not continue the ceremony: %s", t.path(phase, i+1), fault.Shorten(err.Error(), 200))
}

func lastOf[P any](all []P, none P) P {
	if len(all) == 0 {
		return none
	}
	return all[len(all)-1]
}
