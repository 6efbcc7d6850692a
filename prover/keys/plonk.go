package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/binfile"
	"provery/prover/circuits"
	"provery/prover/depot"
	"provery/prover/fault"
	"provery/prover/pace"
	"provery/prover/plonk"
	"provery/prover/srs"
)

// plonkSteps are those of Derive, with the seconds that a million gates take on two cores.
var plonkSteps = append(append([]pace.Step{
	pace.Usual("compile", "compile", 4),
	pace.Usual("srs", "srs", 15),
}, plonk.Steps...), pace.Usual("install", "install", 1))

// Choice says which SRS a PLONK key is to be made with.
type Choice struct {
	// SRS is its id; empty for the one in use, or for a new development SRS where there is none.
	SRS string
	// Secure refuses an SRS that is marked insecure, and makes none.
	Secure bool
}

func (w Choice) allows(insecure bool) bool { return !w.Secure || !insecure }

// Derive makes the key of a PLONK circuit, which follows from the circuit and an SRS alone, and puts it into use. Where
// there is a key already, it is returned with made false: if no SRS was named, the current one; else the one with it.
func (s Store) Derive(c *circuits.Circuit, want Choice, threads int, tell pace.Tell) (m *Manifest, made bool, err error) {
	if c.ID != "" && want.SRS == "" {
		if m, err = s.Current(c.ID); err != nil || m != nil && want.allows(m.Setup.Insecure) {
			return m, false, err
		}
	}
	p := pace.New(tell, pace.Scale(plonkSteps, max(1, c.Constraints)))
	defer p.Stop()
	p.Begin("compile")
	compiled, err := circuits.Compile(c)
	if err != nil {
		return nil, false, err
	}
	err = depot.Locked(s.circuit(compiled.ID), func() { tell("wait", 0) }, func(dir string) error {
		if want.SRS == "" {
			// somebody else may have made it meanwhile
			if m, err = s.Current(compiled.ID); err != nil || m != nil && want.allows(m.Setup.Insecure) {
				return err
			}
		}
		p.Begin("srs")
		chosen, err := s.choose(plonk.Power(compiled.Sparse), want, threads, func(_ string, done float64) { p.Count(done) })
		if err != nil {
			return err
		}
		if m, err = s.with(compiled.ID, chosen); m != nil || err != nil {
			return err
		}
		m, err = s.derive(dir, c, compiled, chosen, threads, p)
		made = err == nil
		return err
	})
	return m, made, err
}

// choose returns an SRS for a domain of 2^power points, with its Lagrange form.
func (s Store) choose(power int, want Choice, threads int, tell pace.Tell) (chosen *srs.Manifest, err error) {
	strings := srs.In(s.Dir)
	if want.SRS != "" || want.Secure {
		chosen, err = strings.Find(want.SRS)
	} else {
		chosen, err = strings.Ensure(power, threads, tell)
	}
	if err != nil {
		return nil, err
	}
	if !want.allows(chosen.Origin.Insecure) {
		return nil, fault.New(fault.InvalidKey, "SRS %.16s is insecure, of kind %s, which is refused here; import the powers-of-tau file of a ceremony, with its digest",
			chosen.SRSID, chosen.Origin.Kind)
	}
	return strings.Lagrange(chosen, power, tell)
}

// with returns the set-up that was made with an SRS, put into use, or nil. What is known by now of where the SRS comes
// from is recorded.
func (s Store) with(circuitID string, chosen *srs.Manifest) (*Manifest, error) {
	found, err := s.Setups(circuitID)
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		if m.Setup.SRS != chosen.SRSID {
			continue
		}
		if now := derived(chosen); m.Setup.Insecure && !now.Insecure {
			m.Setup = now
			text, err := json.MarshalIndent(m, "", "  ")
			if err != nil {
				return nil, err
			}
			if _, err := binfile.WriteSynced(s.Path(m, fileManifest), bytes.NewReader(append(text, '\n'))); err != nil {
				return nil, err
			}
		}
		return m, s.Use(circuitID, m.SetupID)
	}
	return nil, nil
}

func (s Store) derive(dir string, c *circuits.Circuit, compiled *circuits.Compiled, chosen *srs.Manifest, threads int, p *pace.Pace) (*Manifest, error) {
	powers, err := s.powers(chosen, compiled.Sparse)
	if err != nil {
		return nil, err
	}
	defer powers.Close()
	vk, err := plonk.Setup(compiled.Sparse, compiled.ID, chosen.SRSID, powers, filepath.Join(dir, fileProving), threads, p)
	if err != nil {
		return nil, err
	}
	p.Begin("install")
	text, err := plonk.EncodeVerifyingKey(vk)
	if err != nil {
		return nil, err
	}
	if err := depot.WriteSynced(filepath.Join(dir, fileVerify), text); err != nil {
		return nil, err
	}
	return s.install(dir, c, compiled, derived(chosen))
}

// powers maps an SRS after hashing what is used of it: a key made with damaged points would be no better than they.
func (s Store) powers(chosen *srs.Manifest, system *cs.SparseR1CS) (*srs.SRS, error) {
	strings, power := srs.In(s.Dir), plonk.Power(system)
	if err := strings.Audit(chosen, srs.Files(power)...); err != nil {
		return nil, err
	}
	return strings.Open(chosen, power)
}

// derived is the provenance of a key made with an SRS: it is as good as the SRS.
func derived(from *srs.Manifest) Provenance {
	return Provenance{Kind: from.Origin.Kind, Insecure: from.Origin.Insecure, Warning: from.Origin.Warning,
		SRS: from.SRSID, Source: from.Origin.Source}
}

func (s Store) auditSRS(m *Manifest) error {
	strings := srs.In(s.Dir)
	found, err := strings.Manifest(m.Setup.SRS)
	if err != nil {
		return err
	}
	return strings.Audit(found)
}

// PlonkKey maps the key of a PLONK set-up and its SRS. Nothing in it is checked but sizes: every proof made with it is
// verified.
func (s Store) PlonkKey(m *Manifest, system *cs.SparseR1CS, vk *gnark.VerifyingKey) (*plonk.Key, error) {
	strings := srs.In(s.Dir)
	from, err := strings.Manifest(m.Setup.SRS)
	if err != nil {
		return nil, err
	}
	powers, err := strings.Open(from, plonk.Power(system))
	if err != nil {
		return nil, err
	}
	path := s.Path(m, fileProving)
	key, err := plonk.Open(path, m.Files[fileProving].Bytes, m.CircuitID, from.SRSID, system, vk, powers)
	var known *fault.Error
	var file *fs.PathError
	if err != nil && !errors.As(err, &known) && !errors.As(err, &file) {
		err = fault.New(fault.InvalidKey, "%s is not the proving key of circuit %.12s: %v", path, m.CircuitID, err)
	}
	return key, err
}
