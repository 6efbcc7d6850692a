package srs

import (
	"math/big"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"

	"provery/prover/depot"
	"provery/prover/fault"
	"provery/prover/mapfile"
	"provery/prover/msm"
	"provery/prover/pace"
)

// chunk is how many points are worked on, and then written, at a time.
const chunk = 1 << 16

// LagrangeAt returns L₀(τ), L₁(τ), … of a domain, count of them: Lᵢ(τ) = ωⁱ·(τⁿ−1)/(n·(τ−ωⁱ)). τ must not be in the
// domain.
func LagrangeAt(domain *fft.Domain, tau *fr.Element, count int) []fr.Element {
	values, root, one := make([]fr.Element, count), fr.One(), fr.One()
	for i := range values {
		values[i].Sub(tau, &root)
		root.Mul(&root, &domain.Generator)
	}
	values = fr.BatchInvert(values)
	var factor fr.Element
	factor.Exp(*tau, new(big.Int).SetUint64(domain.Cardinality)).Sub(&factor, &one).Mul(&factor, &domain.CardinalityInv)
	for i := range values {
		values[i].Mul(&values[i], &factor)
		factor.Mul(&factor, &domain.Generator)
	}
	return values
}

// Make makes a development SRS for domains up to 2^power: one party, this process, which could forge proofs. The
// secret is forgotten when it returns. It has all Lagrange forms, which cost next to nothing while the secret is known.
func (s Store) Make(power, threads int, tell pace.Tell) (m *Manifest, err error) {
	if power < 1 || power > MaxPower {
		return nil, fault.New(fault.InvalidInput, "a development SRS of 2^%d points, expected a power from 1 to %d", power, MaxPower)
	}
	err = depot.Locked(s.Dir, func() { tell("wait", 0) }, func(dir string) error {
		m, err = s.make(dir, power, threads, tell)
		return err
	})
	return m, err
}

// Ensure returns the SRS in use if it covers domains of 2^power points. Where there is none, or a development SRS that is
// too small, it makes a development SRS; one that was imported is never replaced by such.
func (s Store) Ensure(power, threads int, tell pace.Tell) (m *Manifest, err error) {
	err = depot.Locked(s.Dir, func() { tell("wait", 0) }, func(dir string) error {
		m, err = s.Current()
		switch {
		case err != nil || m != nil && m.Power >= power:
			return err
		case m != nil && m.Origin.Kind != Development:
			return s.tooSmall(m, power)
		}
		m, err = s.make(dir, power, threads, tell)
		return err
	})
	return m, err
}

func (s Store) make(dir string, power, threads int, tell pace.Tell) (*Manifest, error) {
	var tau fr.Element
	for tau.IsZero() || tau.IsOne() {
		if _, err := tau.SetRandom(); err != nil {
			return nil, err
		}
	}
	defer tau.SetZero()
	_, _, base, base2 := bn254.Generators()
	g2 := append([]bn254.G2Affine{base2}, msm.MultiplyG2(base2, []msm.Scalar{tau.Bits()}, 1)...)
	done, total := 0, 3<<power
	write := func(w *mapfile.Writer, count int, next func() fr.Element) error {
		w.Begin(sectionG1)
		for lo := 0; lo < count; lo += chunk {
			part := make([]msm.Scalar, min(chunk, count-lo))
			for i := range part {
				value := next()
				part[i] = value.Bits()
			}
			if err := w.Append(mapfile.Bytes(msm.MultiplyG1(base, part, threads))); err != nil {
				return err
			}
			done += len(part)
			tell("generate", float64(done)/float64(total))
		}
		return w.Close()
	}
	w, err := newG1(dir, power, g2)
	if err != nil {
		return nil, err
	}
	defer w.Abandon()
	value := fr.One()
	if err := write(w, 1<<power+spare, func() fr.Element {
		now := value
		value.Mul(&value, &tau)
		return now
	}); err != nil {
		return nil, err
	}
	file, err := depot.Describe(filepath.Join(dir, fileG1))
	if err != nil {
		return nil, err
	}
	for k := 1; k <= power; k++ {
		values, at := LagrangeAt(fft.NewDomain(1<<k, fft.WithoutPrecompute()), &tau, 1<<k), -1
		w, err := mapfile.Create(filepath.Join(dir, lagrangeFile(k)), magicLag, &headLagrange{SRSID: file.SHA256, Power: k})
		if err != nil {
			return nil, err
		}
		err = write(w, len(values), func() fr.Element { at++; return values[at] })
		w.Abandon()
		if err != nil {
			return nil, err
		}
	}
	m, _, err := s.install(dir, power, originOf(Development))
	return m, err
}

// newG1 starts the file of an SRS's powers: those in G2 are in it, those in G1 come next.
func newG1(dir string, power int, g2 []bn254.G2Affine) (*mapfile.Writer, error) {
	w, err := mapfile.Create(filepath.Join(dir, fileG1), magicG1, &headG1{Power: power})
	if err != nil {
		return nil, err
	}
	if err := w.Section(sectionG2, mapfile.Bytes(g2)); err != nil {
		w.Abandon()
		return nil, err
	}
	return w, nil
}

// Lagrange sees to it that an SRS has its Lagrange form for a domain of 2^power points. One that a prepared file did
// not bring costs half an hour of CPU time at 2^21.
func (s Store) Lagrange(m *Manifest, power int, tell pace.Tell) (*Manifest, error) {
	if power > m.Power {
		return nil, s.tooSmall(m, power)
	}
	name := lagrangeFile(power)
	if m.Files[name].Bytes > 0 {
		return m, nil
	}
	err := depot.Locked(s.Dir, func() { tell("wait", 0) }, func(dir string) (err error) {
		if m, err = s.Manifest(m.SRSID); err != nil || m.Files[name].Bytes > 0 {
			return err
		}
		tell("lagrange", 0)
		if err := s.Audit(m, fileG1); err != nil {
			return err
		}
		file, err := mapfile.Map(s.Path(m, fileG1), m.Files[fileG1].Bytes, magicG1, new(headG1))
		if err != nil {
			return named(s.Path(m, fileG1), m, err)
		}
		defer file.Close()
		powers := mapfile.View[bn254.G1Affine](file.Section(sectionG1))
		if len(powers) < 1<<power {
			return fault.New(fault.InvalidKey, "%s holds %d powers, expected 2^%d", s.Path(m, fileG1), len(powers), power)
		}
		points, err := kzg.ToLagrangeG1(powers[:1<<power])
		if err != nil {
			return err
		}
		w, err := mapfile.Create(filepath.Join(dir, name), magicLag, &headLagrange{SRSID: m.SRSID, Power: power})
		if err != nil {
			return err
		}
		defer w.Abandon()
		if err := w.Section(sectionG1, mapfile.Bytes(points)); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		return s.adopt(m, filepath.Join(dir, name))
	})
	return m, err
}

// adopt adds a file to an SRS.
func (s Store) adopt(m *Manifest, path string) error {
	described, err := depot.Describe(path)
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	if err := os.Rename(path, s.Path(m, name)); err != nil {
		return err
	}
	m.Files[name] = described
	return s.save(m, filepath.Join(s.Dir, m.SRSID))
}
