package statement

import (
	"os"
	"path/filepath"

	"provery/prover/binfile"
	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/keys"
	"provery/prover/pace"
)

// Order is what the commands and the service take, by name.
type Order struct {
	Circuit string `json:"circuit"`
	// Keys is the store's directory, Setup the set-up to use in it, the current one if empty.
	Keys  string `json:"keys"`
	Setup string `json:"setup"`
	// VerifyingKey is a file to verify against, instead of a store's.
	VerifyingKey string `json:"verifying_key"`
	Input        string `json:"input"`
	Proof        string `json:"proof"`
	Public       string `json:"public"`
	Out          string `json:"out"`
	Threads      int    `json:"threads"`
	// Secure refuses keys that are marked insecure.
	Secure bool `json:"secure"`
}

// Listed is a circuit and what is known of its keys.
type Listed struct {
	Circuit     string `json:"circuit"`
	CircuitID   string `json:"circuit_id"`
	About       string `json:"about"`
	Constraints int    `json:"constraints"`
	// Current is the id of the set-up in use, and of its verifying key; empty without keys.
	Current string           `json:"current"`
	Setups  []*keys.Manifest `json:"setups"`
	// Problem says why keys that are there cannot be used.
	Problem string `json:"problem,omitempty"`
}

// List describes circuits and, with a store, their keys.
func List(all []*circuits.Circuit, order *Order) []Listed {
	out := []Listed{}
	for _, c := range all {
		if order.Circuit != "" && order.Circuit != c.Name {
			continue
		}
		one := Listed{Circuit: c.Name, CircuitID: c.ID, About: c.About, Constraints: c.Constraints, Setups: []*keys.Manifest{}}
		if order.Keys != "" {
			store := keys.Store{Dir: order.Keys}
			found, err := store.Setups(c.ID)
			if err == nil {
				one.Setups = append(one.Setups, found...)
				var current *keys.Manifest
				if current, err = store.Current(c.ID); current != nil {
					one.Current = current.SetupID
				}
			}
			if err != nil {
				one.Problem = err.Error()
			}
		}
		out = append(out, one)
	}
	return out
}

// SetUp makes development keys unless there are keys already.
func (o *Order) SetUp(c *circuits.Circuit, progress pace.Tell) (any, error) {
	manifest, made, err := keys.Store{Dir: o.Keys}.Generate(c, o.Threads, progress)
	if err != nil {
		return nil, err
	}
	return struct {
		*keys.Manifest
		Made bool `json:"made"`
	}{manifest, made}, nil
}

// Check is check-witness.
func (o *Order) Check(c *circuits.Circuit) (any, error) {
	values, err := Check(c, o.Input)
	return map[string]any{"circuit": c.Name, "public": values}, err
}

// Prove makes a proof.
func (o *Order) Prove(c *circuits.Circuit, progress pace.Tell) (*Made, error) {
	store := keys.Store{Dir: o.Keys}
	manifest, err := store.Find(c, o.Setup)
	if err != nil {
		return nil, err
	}
	if err := o.allow(manifest); err != nil {
		return nil, err
	}
	return Prove(&Request{Circuit: c, Store: store, Setup: manifest.SetupID, Threads: o.Threads, Input: o.Input, Proof: o.Proof, Public: o.Public}, progress)
}

func (o *Order) allow(manifest *keys.Manifest) error {
	if o.Secure && manifest.Setup.Insecure {
		return fault.New(fault.InvalidKey, "circuit %s has an insecure key of kind %s, which is refused here; use one from a ceremony", manifest.Circuit, manifest.Setup.Kind)
	}
	return nil
}

// Verify checks a proof.
func (o *Order) Verify(c *circuits.Circuit) (*Public, error) {
	key, err := o.key(c)
	if err != nil {
		return nil, err
	}
	return Verify(c, key, o.Proof, o.Public, o.Input)
}

func (o *Order) key(c *circuits.Circuit) ([]byte, error) {
	if o.VerifyingKey != "" {
		return readBounded(o.VerifyingKey)
	}
	store := keys.Store{Dir: o.Keys}
	manifest, err := store.Find(c, o.Setup)
	if err != nil {
		return nil, err
	}
	if err := o.allow(manifest); err != nil {
		return nil, err
	}
	return store.Read(manifest, "vk")
}

// Exported are the files that ExportVerifier writes.
type Exported struct {
	Insecure bool              `json:"insecure"`
	Files    []binfile.Written `json:"files"`
}

// ExportVerifier writes what a verifier needs into the directory Out: a Solidity contract, the verifying key, and the
// manifest as its sidecar.
func (o *Order) ExportVerifier(c *circuits.Circuit) (*Exported, error) {
	store := keys.Store{Dir: o.Keys}
	manifest, err := store.Find(c, o.Setup)
	if err != nil {
		return nil, err
	}
	text, err := store.Read(manifest, "vk")
	if err != nil {
		return nil, err
	}
	contract, err := solidityOf(manifest, text)
	if err != nil {
		return nil, err
	}
	sidecar, err := os.ReadFile(store.Path(manifest, "manifest.json"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	out := &Exported{Insecure: manifest.Setup.Insecure}
	for _, file := range []struct {
		name string
		text []byte
	}{{"verifier.sol", contract}, {"verifying_key.bin", text}, {"verifying_key.json", sidecar}} {
		written, err := binfile.WriteAtomic(filepath.Join(o.Out, file.name), file.text)
		if err != nil {
			return nil, err
		}
		out.Files = append(out.Files, written)
	}
	return out, nil
}
