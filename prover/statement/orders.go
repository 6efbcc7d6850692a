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
	// Dir is a ceremony's directory, Name a contributor's, Beacon the public random value that ends a phase.
	Dir    string `json:"dir"`
	Name   string `json:"name"`
	Beacon string `json:"beacon"`
	// Secure refuses keys, and SRSs, that are marked insecure.
	Secure bool `json:"secure"`
	// SRS is the id of one, File a powers-of-tau file, Digest that file's, Power the exponent of the largest domain.
	SRS    string `json:"srs"`
	File   string `json:"file"`
	Digest string `json:"digest"`
	Power  int    `json:"power"`
	// Document names a circuit of a family, instead of Circuit.
	circuits.Document
	// Residents keep what proofs of short circuits need; nil for none.
	Residents *Residents `json:"-"`
}

// Listed is a circuit and what is known of its keys.
type Listed struct {
	Circuit     string `json:"circuit"`
	CircuitID   string `json:"circuit_id"`
	Scheme      string `json:"scheme"`
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
		one := Listed{Circuit: c.Name, CircuitID: c.ID, Scheme: c.Scheme.String(), About: c.About, Constraints: c.Constraints, Setups: []*keys.Manifest{}}
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

// SetUp makes keys unless there are keys already: development keys of a Groth16 circuit, those of a PLONK circuit with
// the SRS named or in use.
func (o *Order) SetUp(c *circuits.Circuit, progress pace.Tell) (any, error) {
	store := keys.Store{Dir: o.Keys}
	var manifest *keys.Manifest
	var made bool
	var err error
	switch {
	case c.Scheme == circuits.Plonk:
		manifest, made, err = store.Derive(c, keys.Choice{SRS: o.SRS, Secure: o.Secure}, o.Threads, progress)
	case o.SRS != "":
		err = fault.New(fault.InvalidInput, "circuit %s is proved by %s, which takes no SRS", c.Name, c.Scheme)
	case o.Secure:
		_, manifest, err = o.allowed(c)
	default:
		manifest, made, err = store.Generate(c, o.Threads, progress)
	}
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

// find returns the store and the set-up to use.
func (o *Order) find(c *circuits.Circuit) (keys.Store, *keys.Manifest, error) {
	store := keys.Store{Dir: o.Keys}
	if c.ID == "" {
		compiled, err := circuits.Compile(c)
		if err != nil {
			return store, nil, err
		}
		c.ID = compiled.ID
	}
	manifest, err := store.Find(c, o.Setup)
	return store, manifest, err
}

// allowed is find where Secure counts.
func (o *Order) allowed(c *circuits.Circuit) (keys.Store, *keys.Manifest, error) {
	store, manifest, err := o.find(c)
	if err == nil && o.Secure && manifest.Setup.Insecure {
		err = fault.New(fault.InvalidKey, "circuit %s has an insecure key of kind %s, which is refused here; use one from a ceremony",
			manifest.Circuit, manifest.Setup.Kind)
	}
	return store, manifest, err
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
		if o.Secure {
			return nil, fault.New(fault.InvalidInput, "%s alone does not say whether it is secure; name a directory of keys", o.VerifyingKey)
		}
		return readBounded(o.VerifyingKey)
	}
	store, manifest, err := o.allowed(c)
	if err != nil {
		return nil, err
	}
	return store.Read(manifest, "vk")
}

// Exported are the files that ExportVerifier writes.
type Exported struct {
	Insecure bool              `json:"insecure"`
	Files    []binfile.Written `json:"files"`
}

// Use makes a set-up the current one.
func (o *Order) Use(c *circuits.Circuit) (*keys.Manifest, error) {
	store := keys.Store{Dir: o.Keys}
	if err := store.Use(c.ID, o.Setup); err != nil {
		return nil, err
	}
	return store.Current(c.ID)
}

// Audit hashes all files of a set-up.
func (o *Order) Audit(c *circuits.Circuit) (*keys.Manifest, error) {
	store, manifest, err := o.find(c)
	if err != nil {
		return nil, err
	}
	return manifest, store.Audit(manifest)
}

// Ceremony does a step of a ceremony: init (of the circuit named), contribute, verify or seal.
func (o *Order) Ceremony(all []*circuits.Circuit, step string, progress pace.Tell) (any, error) {
	if o.Dir == "" {
		return nil, fault.New(fault.InvalidInput, "no directory for the ceremony")
	}
	var state *keys.CeremonyState
	var manifest *keys.Manifest
	var err error
	switch step {
	case "init":
		var c *circuits.Circuit
		if c, err = circuits.Find(all, o.Circuit); err == nil {
			state, err = keys.InitCeremony(c, o.Dir)
		}
	case "contribute":
		state, err = keys.Contribute(all, o.Dir, o.Name, progress)
	case "verify":
		state, err = keys.VerifyCeremony(all, o.Dir, progress)
	case "seal":
		if o.Keys == "" {
			return nil, fault.New(fault.InvalidInput, "no directory for the keys")
		}
		state, manifest, err = keys.Seal(all, o.Dir, o.Beacon, keys.Store{Dir: o.Keys}, progress)
	default:
		err = fault.New(fault.Unsupported, "a ceremony has no step %q", fault.Shorten(step, 40))
	}
	if err != nil {
		return nil, err
	}
	return struct {
		*keys.CeremonyState
		Keys *keys.Manifest `json:"keys,omitempty"`
	}{state, manifest}, nil
}

// ExportVerifier writes what a verifier needs into the directory Out: a Solidity contract, the verifying key, and the
// manifest as its sidecar.
func (o *Order) ExportVerifier(c *circuits.Circuit) (*Exported, error) {
	store, manifest, err := o.find(c)
	if err != nil {
		return nil, err
	}
	text, err := store.Read(manifest, "vk")
	if err != nil {
		return nil, err
	}
	contract, err := solidityOf(c.Scheme, manifest, text)
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
