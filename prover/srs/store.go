package srs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"provery/prover/binfile"
	"provery/prover/depot"
	"provery/prover/fault"
)

// Kinds of SRS.
const (
	Development = "development"
	// Imported is from a powers-of-tau file that nobody has vouched for: that its powers are powers of something says
	// nothing about who knows it.
	Imported = "imported"
	// Ceremony is from a powers-of-tau file whose published digest was given.
	Ceremony = "ceremony"
)

var warnings = map[string]string{
	Development: "INSECURE development SRS: whoever made it can forge proofs",
	Imported:    "INSECURE: the digest of the powers-of-tau file was not given, so nobody vouches for where it comes from",
}

const (
	fileG1       = "g1"
	fileManifest = "manifest.json"
	magicG1      = "PRVSRS\x00\x01"
	magicLag     = "PRVLAG\x00\x01"
	sectionG1    = "g1"
	sectionG2    = "g2"
	// spare is how many powers a PLONK prover needs beyond its domain: its polynomials are blinded.
	spare = 3
	// MaxPower bounds the domain: BN254's scalar field has roots of unity up to this.
	MaxPower = 28
)

// Manifest says what an SRS's files are, and where it comes from: that is not to be seen from the powers.
type Manifest struct {
	Format int    `json:"format"`
	SRSID  string `json:"srs_id"`
	// Power says how large a circuit may be: its domain has at most 2^Power points.
	Power     int                   `json:"power"`
	Origin    Origin                `json:"origin"`
	Files     map[string]depot.File `json:"files"`
	CreatedAt string                `json:"created_at"`
}

// Origin says where an SRS comes from.
type Origin struct {
	Kind     string `json:"kind"`
	Insecure bool   `json:"insecure"`
	Warning  string `json:"warning,omitempty"`
	// Source is the SHA-256 of the file imported, Digest what the caller said it was, which may be its BLAKE2b.
	Source string `json:"source_sha256,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Contributions is how many the file names.
	Contributions int `json:"contributions,omitempty"`
}

func originOf(kind string) Origin {
	return Origin{Kind: kind, Insecure: kind != Ceremony, Warning: warnings[kind]}
}

// Store is a directory of SRSs.
type Store struct{ Dir string }

// In returns the store that belongs to a directory of keys.
func In(keys string) Store { return Store{filepath.Join(keys, "srs")} }

// Current returns the manifest of the SRS in use, or nil where there is none.
func (s Store) Current() (*Manifest, error) {
	id, found, err := depot.Current(s.Dir)
	if err != nil || !found {
		return nil, err
	}
	return s.Manifest(id)
}

// Find returns the SRS named, or the current one.
func (s Store) Find(id string) (*Manifest, error) {
	if id != "" {
		return s.Manifest(id)
	}
	m, err := s.Current()
	if err == nil && m == nil {
		err = fault.New(fault.InvalidKey, "there is no SRS in %s; import a powers-of-tau file by `srs import`", s.Dir)
	}
	return m, err
}

// Manifest returns the manifest of one SRS, after looking at the sizes of the files it names.
func (s Store) Manifest(id string) (*Manifest, error) {
	if !depot.IsDigest(id) {
		return nil, fault.New(fault.InvalidKey, "SRS %q is none of %s: an id has 64 hexadecimal digits", fault.Shorten(id, 80), s.Dir)
	}
	path := filepath.Join(s.Dir, id, fileManifest)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.InvalidKey, "%s is missing; import a powers-of-tau file by `srs import`", path)
	}
	if err != nil {
		return nil, err
	}
	m, decoder := new(Manifest), json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(m); err != nil {
		return nil, fault.New(fault.InvalidKey, "%s is damaged: %s", path, fault.Shorten(err.Error(), 200))
	}
	if m.Format != 1 || m.SRSID != id || m.Files[fileG1].SHA256 != id || m.Power < 1 || m.Power > MaxPower {
		return nil, fault.New(fault.InvalidKey, "%s has format %d and speaks of SRS %.12s, expected 1 and %.12s", path, m.Format, m.SRSID, id)
	}
	if m.Origin.Insecure != (m.Origin.Kind != Ceremony) {
		return nil, fault.New(fault.InvalidKey, "%s calls an SRS of kind %q secure or not, against the rule", path, m.Origin.Kind)
	}
	for name, file := range m.Files {
		info, err := os.Stat(s.Path(m, name))
		if err != nil {
			return nil, fault.New(fault.InvalidKey, "%s is missing; remove %s and import the SRS again", s.Path(m, name), filepath.Dir(path))
		}
		if info.Size() != file.Bytes {
			return nil, fault.New(fault.InvalidKey, "%s has %d bytes, expected %d", s.Path(m, name), info.Size(), file.Bytes)
		}
	}
	return m, nil
}

// List returns the usable SRSs.
func (s Store) List() ([]*Manifest, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var found []*Manifest
	for _, entry := range entries {
		if entry.IsDir() && depot.IsDigest(entry.Name()) {
			if m, err := s.Manifest(entry.Name()); err == nil {
				found = append(found, m)
			}
		}
	}
	return found, err
}

// Use makes an SRS the current one.
func (s Store) Use(id string) error {
	if _, err := s.Manifest(id); err != nil {
		return err
	}
	return depot.Use(s.Dir, id)
}

// Path is where an SRS's file is.
func (s Store) Path(m *Manifest, name string) string { return filepath.Join(s.Dir, m.SRSID, name) }

// Audit hashes files of an SRS, all of them if none is named.
func (s Store) Audit(m *Manifest, names ...string) error {
	if len(names) == 0 {
		for name := range m.Files {
			names = append(names, name)
		}
	}
	for _, name := range names {
		got, err := depot.Describe(s.Path(m, name))
		if err != nil {
			return err
		}
		if got.Bytes != m.Files[name].Bytes {
			return fault.New(fault.InvalidKey, "%s is damaged: it has %d bytes, expected %d; remove its directory and import the SRS again",
				s.Path(m, name), got.Bytes, m.Files[name].Bytes)
		}
		if got != m.Files[name] {
			return fault.New(fault.InvalidKey, "%s is damaged: its SHA-256 is %s, expected %s; remove its directory and import the SRS again",
				s.Path(m, name), got.SHA256, m.Files[name].SHA256)
		}
	}
	return nil
}

func (s Store) save(m *Manifest, dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if _, err := binfile.WriteSynced(filepath.Join(dir, fileManifest), bytes.NewReader(append(text, '\n'))); err != nil {
		return err
	}
	return depot.Sync(dir)
}

// install completes an SRS whose files lie in the unfinished directory dir, and makes it the current one. Of an SRS
// that is there already the better origin stays.
func (s Store) install(dir string, power int, origin Origin) (m *Manifest, made bool, err error) {
	m = &Manifest{Format: 1, Power: power, Origin: origin, Files: map[string]depot.File{}, CreatedAt: time.Now().UTC().Format(time.RFC3339)}
	names := []string{fileG1}
	for k := 1; k <= power; k++ {
		if _, err := os.Stat(filepath.Join(dir, lagrangeFile(k))); err == nil {
			names = append(names, lagrangeFile(k))
		}
	}
	for _, name := range names {
		if m.Files[name], err = depot.Describe(filepath.Join(dir, name)); err != nil {
			return nil, false, err
		}
	}
	m.SRSID = m.Files[fileG1].SHA256
	target := filepath.Join(s.Dir, m.SRSID)
	if there, err := s.Manifest(m.SRSID); err == nil {
		if there.Origin.Insecure && !origin.Insecure {
			there.Origin = origin
			if err := s.save(there, target); err != nil {
				return nil, false, err
			}
		}
		// a prepared file brings what one that was not prepared lacked
		for _, name := range names {
			if there.Files[name].Bytes == 0 {
				if err := s.adopt(there, filepath.Join(dir, name)); err != nil {
					return nil, false, err
				}
			}
		}
		return there, false, depot.Use(s.Dir, m.SRSID)
	}
	if err := s.save(m, dir); err != nil {
		return nil, false, err
	}
	if err := os.Rename(dir, target); err != nil {
		return nil, false, err
	}
	return m, true, depot.Use(s.Dir, m.SRSID)
}
