package srs

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/consensys/gnark-crypto/ecc/bn254"

	"provery/prover/fault"
	"provery/prover/mapfile"
)

type headG1 struct {
	Power int `json:"power"`
	mapfile.Table
}

type headLagrange struct {
	SRSID string `json:"srs_id"`
	Power int    `json:"power"`
	mapfile.Table
}

// SRS is a string for one size of domain, mapped into memory. Close it when nothing of it is used any more.
type SRS struct {
	// G1 are the powers, as many as the domain has points and three more; Lagrange are as many as it has points.
	G1, Lagrange []bn254.G1Affine
	// G2 are [1]₂ and [τ]₂.
	G2    [2]bn254.G2Affine
	files []*mapfile.File
}

// Close gives the mappings back.
func (s *SRS) Close() {
	for _, file := range s.files {
		_ = file.Close()
	}
}

// Open maps an SRS for a domain of 2^power points. Its points are not checked again; audit the files where the outcome
// is not verified.
func (s Store) Open(m *Manifest, power int) (*SRS, error) {
	if power > m.Power {
		return nil, s.tooSmall(m, power)
	}
	out := new(SRS)
	head, err := out.open(s, m, fileG1, magicG1, new(headG1))
	if err == nil {
		g1, g2 := mapfile.View[bn254.G1Affine](head.Section(sectionG1)), mapfile.View[bn254.G2Affine](head.Section(sectionG2))
		if len(g1) != 1<<m.Power+spare || len(g2) != 2 {
			err = fmt.Errorf("it holds %d powers in G1 and %d in G2", len(g1), len(g2))
		} else {
			out.G1, out.G2 = g1[:1<<power+spare], [2]bn254.G2Affine(g2)
		}
	}
	name := fileG1
	if err == nil {
		name = lagrangeFile(power)
		if m.Files[name].Bytes == 0 {
			out.Close()
			return nil, fault.New(fault.InvalidKey, "SRS %.12s has no Lagrange form of 2^%d points; `circuit setup` makes it", m.SRSID, power)
		}
		lagrange := new(headLagrange)
		if head, err = out.open(s, m, name, magicLag, lagrange); err == nil {
			out.Lagrange = mapfile.View[bn254.G1Affine](head.Section(sectionG1))
			if len(out.Lagrange) != 1<<power || lagrange.SRSID != m.SRSID || lagrange.Power != power {
				err = fmt.Errorf("it holds %d points of SRS %.12s", len(out.Lagrange), lagrange.SRSID)
			}
		}
	}
	if err != nil {
		out.Close()
		return nil, named(s.Path(m, name), m, err)
	}
	return out, nil
}

func (o *SRS) open(s Store, m *Manifest, name, magic string, head mapfile.Header) (*mapfile.File, error) {
	file, err := mapfile.Map(s.Path(m, name), m.Files[name].Bytes, magic, head)
	if err == nil {
		o.files = append(o.files, file)
	}
	return file, err
}

// named says which file an error is about, unless it does so on its own.
func named(path string, m *Manifest, err error) error {
	var known *fault.Error
	var system *fs.PathError
	if errors.As(err, &known) || errors.As(err, &system) {
		return err
	}
	return fault.New(fault.InvalidKey, "%s is not of SRS %.12s: %v", path, m.SRSID, err)
}

func (s Store) tooSmall(m *Manifest, power int) error {
	return fault.New(fault.InvalidKey, "SRS %.12s (%s) in %s covers domains up to 2^%d, this circuit needs 2^%d; import a larger powers-of-tau file",
		m.SRSID, m.Origin.Kind, s.Dir, m.Power, power)
}

func lagrangeFile(power int) string { return fmt.Sprintf("lagrange-%02d", power) }

// Files names the files that are used for a domain of 2^power points.
func Files(power int) []string { return []string{fileG1, lagrangeFile(power)} }
