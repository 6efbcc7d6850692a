package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"provery/prover/circuits"
	"provery/prover/depot"
	"provery/prover/fault"
)

// Names of a set-up's files.
const (
	fileSystem   = "cs"
	fileProving  = "pk"
	fileVerify   = "vk"
	fileManifest = "manifest.json"
)

// Store is a directory of keys.
type Store struct{ Dir string }

// Current returns the manifest of the set-up in use, or nil where there is none: one whose directory somebody has
// removed, as a damaged one's should be, is none.
func (s Store) Current(circuitID string) (*Manifest, error) {
	setupID, found, err := depot.Current(s.circuit(circuitID))
	if err != nil || !found {
		return nil, err
	}
	return s.Manifest(circuitID, setupID)
}

// Manifest returns the manifest of one set-up, after looking at the sizes of the files it names.
func (s Store) Manifest(circuitID, setupID string) (*Manifest, error) {
	if !depot.IsDigest(circuitID) || !depot.IsDigest(setupID) {
		return nil, fault.New(fault.InvalidKey, "set-up %q of circuit %q: ids have 64 hexadecimal digits", fault.Shorten(setupID, 80), fault.Shorten(circuitID, 80))
	}
	dir := s.dir(circuitID, setupID)
	path := filepath.Join(dir, fileManifest)
	m, err := parseManifest(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.InvalidKey, "%s is missing; make keys by `circuit setup`", path)
	}
	if err != nil {
		return nil, err
	}
	if m.CircuitID != circuitID || m.SetupID != setupID || m.Files[fileSystem].SHA256 != circuitID || m.Files[fileVerify].SHA256 != setupID {
		return nil, fault.New(fault.InvalidKey, "%s speaks of circuit %.12s and set-up %.12s, its directory of others", path, m.CircuitID, m.SetupID)
	}
	if m.Setup.Kind != Ceremony && !m.Setup.Insecure {
		return nil, fault.New(fault.InvalidKey, "%s calls a key of kind %q secure, which only those of a ceremony are", path, m.Setup.Kind)
	}
	for _, name := range []string{fileSystem, fileProving, fileVerify} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, fault.New(fault.InvalidKey, "%s is missing; remove %s and make keys by `circuit setup`", filepath.Join(dir, name), dir)
		}
		if info.Size() != m.Files[name].Bytes {
			return nil, fault.New(fault.InvalidKey, "%s has %d bytes, expected %d", filepath.Join(dir, name), info.Size(), m.Files[name].Bytes)
		}
	}
	return m, nil
}

// Find returns the set-up to use for a circuit: the one named, or the current one.
func (s Store) Find(c *circuits.Circuit, setupID string) (*Manifest, error) {
	if setupID != "" {
		return s.Manifest(c.ID, setupID)
	}
	m, err := s.Current(c.ID)
	if err == nil && m == nil {
		err = fault.New(fault.InvalidKey, "circuit %s has no keys in %s; make them by `circuit setup`", c.Name, s.Dir)
	}
	return m, err
}

// Setups lists a circuit's usable set-ups.
func (s Store) Setups(circuitID string) ([]*Manifest, error) {
	entries, err := os.ReadDir(s.circuit(circuitID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var found []*Manifest
	for _, entry := range entries {
		if entry.IsDir() && depot.IsDigest(entry.Name()) {
			if m, err := s.Manifest(circuitID, entry.Name()); err == nil {
				found = append(found, m)
			}
		}
	}
	return found, err
}

// Use makes a set-up the current one.
func (s Store) Use(circuitID, setupID string) error {
	if _, err := s.Manifest(circuitID, setupID); err != nil {
		return err
	}
	return depot.Use(s.circuit(circuitID), setupID)
}

// Path is where a set-up's file is.
func (s Store) Path(m *Manifest, name string) string {
	return filepath.Join(s.dir(m.CircuitID, m.SetupID), name)
}

func (s Store) circuit(circuitID string) string { return filepath.Join(s.Dir, circuitID) }

func (s Store) dir(circuitID, setupID string) string {
	return filepath.Join(s.Dir, circuitID, setupID)
}

// Read returns the bytes of a set-up's file, whose digest must be the recorded one.
func (s Store) Read(m *Manifest, name string) ([]byte, error) {
	path := s.Path(m, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	if got := (File{Bytes: int64(len(text)), SHA256: hex.EncodeToString(digest[:])}); got.SHA256 != m.Files[name].SHA256 {
		return nil, damaged(path, got, m.Files[name])
	}
	return text, nil
}

// Audit hashes all files of a set-up, and those of its SRS.
func (s Store) Audit(m *Manifest) error {
	for _, name := range []string{fileSystem, fileVerify, fileProving} {
		got, err := depot.Describe(s.Path(m, name))
		if err != nil {
			return err
		}
		if got != m.Files[name] {
			return damaged(s.Path(m, name), got, m.Files[name])
		}
	}
	if m.Setup.SRS == "" {
		return nil
	}
	return s.auditSRS(m)
}

func damaged(path string, got, expected File) error {
	what := fmt.Sprintf("its SHA-256 is %s, expected %s", got.SHA256, expected.SHA256)
	if got.Bytes != expected.Bytes {
		what = fmt.Sprintf("it has %d bytes, expected %d", got.Bytes, expected.Bytes)
	}
	return fault.New(fault.InvalidKey, "%s is damaged: %s; remove its directory and make keys anew", path, what)
}

// install completes a set-up whose files pk and vk lie in the unfinished directory dir, and makes it the current one.
func (s Store) install(dir string, c *circuits.Circuit, compiled *circuits.Compiled, provenance Provenance) (*Manifest, error) {
	if err := depot.WriteSynced(filepath.Join(dir, fileSystem), compiled.Bytes); err != nil {
		return nil, err
	}
	m := &Manifest{Format: 1, Circuit: c.Name, CircuitID: compiled.ID, Constraints: compiled.Constraints(),
		Setup: provenance, Files: map[string]File{}, CreatedAt: time.Now().UTC().Format(time.RFC3339)}
	if c.Scheme != circuits.Groth16 {
		m.Scheme = c.Scheme.String()
	}
	for _, name := range []string{fileSystem, fileProving, fileVerify} {
		file, err := depot.Describe(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		m.Files[name] = file
	}
	m.SetupID = m.Files[fileVerify].SHA256
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := depot.WriteSynced(filepath.Join(dir, fileManifest), append(text, '\n')); err != nil {
		return nil, err
	}
	if err := depot.Sync(dir); err != nil {
		return nil, err
	}
	// a ceremony that was interrupted while its keys were put into use makes the same ones again
	if there, err := s.Manifest(m.CircuitID, m.SetupID); err == nil {
		m = there
	} else if err := os.Rename(dir, s.dir(m.CircuitID, m.SetupID)); err != nil {
		return nil, err
	}
	return m, s.Use(m.CircuitID, m.SetupID)
}
