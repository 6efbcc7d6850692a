package keys

import (
	"bytes"
	"encoding/json"
	"os"

	"provery/prover/depot"
	"provery/prover/fault"
	"provery/prover/srs"
)

// Kinds of set-up.
const (
	Development = srs.Development
	Ceremony    = srs.Ceremony
)

// warning goes with every key that one party has made.
const warning = "INSECURE development key: whoever made it can forge proofs"

// Manifest says what a set-up's files are. It is the sidecar of the verifying key: whether the key may be trusted is
// not to be seen from the key itself.
type Manifest struct {
	Format    int    `json:"format"`
	Circuit   string `json:"circuit"`
	CircuitID string `json:"circuit_id"`
	SetupID   string `json:"setup_id"`
	// Scheme is empty for Groth16.
	Scheme      string          `json:"scheme,omitempty"`
	Constraints int             `json:"constraints"`
	Setup       Provenance      `json:"setup"`
	Files       map[string]File `json:"files"`
	CreatedAt   string          `json:"created_at"`
}

// Provenance says how a key came about.
type Provenance struct {
	Kind     string `json:"kind"`
	Insecure bool   `json:"insecure"`
	Warning  string `json:"warning,omitempty"`
	// Contributions are those of a ceremony, both phases in order, with the beacons that ended the phases.
	Contributions []Contribution `json:"contributions,omitempty"`
	Beacons       []string       `json:"beacons,omitempty"`
	// SRS is the id of the structured reference string that a PLONK key is made with, Source the SHA-256 of the file
	// that it was imported from. Kind, Insecure and Warning are then the SRS's.
	SRS    string `json:"srs,omitempty"`
	Source string `json:"source_sha256,omitempty"`
}

// Contribution is one step of a ceremony.
type Contribution struct {
	Phase  int    `json:"phase"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// File is a file's length and SHA-256.
type File = depot.File

// development is the provenance of a key made by Generate.
func development() Provenance {
	return Provenance{Kind: Development, Insecure: true, Warning: warning}
}

func parseManifest(path string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, decoder := new(Manifest), json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(m); err != nil {
		return nil, fault.New(fault.InvalidKey, "%s is damaged: %s", path, fault.Shorten(err.Error(), 200))
	}
	if m.Format != 1 {
		return nil, fault.New(fault.InvalidKey, "%s has format %d, expected 1", path, m.Format)
	}
	return m, nil
}
