//go:build unix

package keys

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/pedersen"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/fault"
	"provery/prover/mapfile"
)

// magic starts a file pk, see package mapfile.
const magic = "PRVPK\x00\x00\x01"

type header struct {
	CircuitID   string `json:"circuit_id"`
	Domain      uint64 `json:"domain"`
	Wires       int    `json:"wires"`
	Commitments int    `json:"commitments"`
	mapfile.Table
}

// Names of sections; those of commitments have the commitment's number behind them.
const (
	sectionFixed1    = "fixed1" // α in G1
	sectionFixed2    = "fixed2" // β, δ in G2
	sectionA         = "a"
	sectionZ         = "z"
	sectionK         = "k"
	sectionB2        = "b2"
	sectionInfinityA = "infinity_a"
	sectionInfinityB = "infinity_b"
	sectionBasis     = "basis"
	sectionSigma     = "sigma"
)

func newKeyWriter(path, circuitID string, domain uint64, wires, commitments int) (*mapfile.Writer, error) {
	return mapfile.Create(path, magic, &header{CircuitID: circuitID, Domain: domain, Wires: wires, Commitments: commitments})
}

// ProvingKey is a key whose points lie in a file that is mapped into memory. Close unmaps it: the key must not be used
// afterwards. B in G1, β and δ in G1 are left out: the prover does without.
type ProvingKey struct {
	Alpha1        bn254.G1Affine
	Beta2, Delta2 bn254.G2Affine
	// A and B are of the wires that InfinityA and InfinityB do not mark; K of private wires; Z in bit-reversed order.
	A, K, Z              []bn254.G1Affine
	B                    []bn254.G2Affine
	InfinityA, InfinityB []bool
	Commitments          []pedersen.ProvingKey
	mapped               *mapfile.File
}

// Close gives the mapping back.
func (k *ProvingKey) Close() error { return k.mapped.Close() }

// ProvingKey maps the key of a set-up. Its points are not checked: every proof made with it is verified.
func (s Store) ProvingKey(m *Manifest, system *cs.R1CS) (key *ProvingKey, err error) {
	path := s.Path(m, fileProving)
	foreign := func(format string, arguments ...any) error {
		return fault.New(fault.InvalidKey, "%s is not the proving key of circuit %.12s: %s", path, m.CircuitID, fmt.Sprintf(format, arguments...))
	}
	head := header{}
	file, err := mapfile.Map(path, m.Files[fileProving].Bytes, magic, &head)
	if err != nil {
		return nil, foreignUnlessFault(err, foreign)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	wires := wiresOf(system)
	commitments := system.CommitmentInfo.(constraint.Groth16Commitments)
	if head.CircuitID != m.CircuitID || head.Wires != wires || head.Commitments != len(commitments) {
		return nil, foreign("it is of circuit %.12s with %d wires", head.CircuitID, head.Wires)
	}
	domain := domainOf(system)
	key = &ProvingKey{mapped: file}
	key.InfinityA, key.InfinityB = flags(file.Section(sectionInfinityA)), flags(file.Section(sectionInfinityB))
	fixed1, fixed2 := mapfile.View[bn254.G1Affine](file.Section(sectionFixed1)), mapfile.View[bn254.G2Affine](file.Section(sectionFixed2))
	key.A, key.K = mapfile.View[bn254.G1Affine](file.Section(sectionA)), mapfile.View[bn254.G1Affine](file.Section(sectionK))
	key.Z, key.B = mapfile.View[bn254.G1Affine](file.Section(sectionZ)), mapfile.View[bn254.G2Affine](file.Section(sectionB2))
	private := wires - system.GetNbPublicVariables() - len(commitments)
	for i := range commitments {
		one := pedersen.ProvingKey{Basis: mapfile.View[bn254.G1Affine](file.Section(numbered(sectionBasis, i))),
			BasisExpSigma: mapfile.View[bn254.G1Affine](file.Section(numbered(sectionSigma, i)))}
		if n := len(commitments[i].PrivateCommitted); len(one.Basis) != n || len(one.BasisExpSigma) != n {
			return nil, foreign("commitment %d has %d points, expected %d", i, len(one.Basis), n)
		}
		private -= len(one.Basis)
		key.Commitments = append(key.Commitments, one)
	}
	if len(fixed1) != 1 || len(fixed2) != 2 || len(key.InfinityA) != wires || len(key.InfinityB) != wires ||
		len(key.A) != unmarked(key.InfinityA) || len(key.B) != unmarked(key.InfinityB) ||
		len(key.K) != private || uint64(len(key.Z)) != domain-1 || head.Domain != domain {
		return nil, foreign("the numbers of its points are wrong")
	}
	key.Alpha1, key.Beta2, key.Delta2 = fixed1[0], fixed2[0], fixed2[1]
	return key, nil
}

// foreignUnlessFault names the file in an error that does not tell on its own what went wrong.
func foreignUnlessFault(err error, foreign func(format string, arguments ...any) error) error {
	var known *fault.Error
	var system *fs.PathError
	if errors.As(err, &known) || errors.As(err, &system) {
		return err
	}
	return foreign("%v", err)
}

// domainOf is the size of the domain that the constraints are interpolated on.
func domainOf(system *cs.R1CS) uint64 { return ecc.NextPowerOfTwo(uint64(system.GetNbConstraints())) }

func wiresOf(system *cs.R1CS) int {
	return system.NbInternalVariables + system.GetNbPublicVariables() + system.GetNbSecretVariables()
}

func numbered(name string, i int) string { return fmt.Sprint(name, i) }

// flags copies bytes into truth values.
func flags(data []byte) []bool {
	out := make([]bool, len(data))
	for i, value := range data {
		out[i] = value != 0
	}
	return out
}

func unmarked(marks []bool) (n int) {
	for _, marked := range marks {
		if !marked {
			n++
		}
	}
	return n
}

func flagBytes(values []bool) []byte {
	out := make([]byte, len(values))
	for i, value := range values {
		if value {
			out[i] = 1
		}
	}
	return out
}

// writeKey writes a key that is in memory, as a ceremony leaves it.
func writeKey(path, circuitID string, key *groth16.ProvingKey) error {
	w, err := newKeyWriter(path, circuitID, key.Domain.Cardinality, len(key.InfinityA), len(key.CommitmentKeys))
	if err != nil {
		return err
	}
	type part struct {
		name string
		data []byte
	}
	parts := []part{
		{sectionFixed1, mapfile.Bytes([]bn254.G1Affine{key.G1.Alpha})},
		{sectionFixed2, mapfile.Bytes([]bn254.G2Affine{key.G2.Beta, key.G2.Delta})},
		{sectionInfinityA, flagBytes(key.InfinityA)}, {sectionInfinityB, flagBytes(key.InfinityB)},
		{sectionA, mapfile.Bytes(key.G1.A)}, {sectionZ, mapfile.Bytes(key.G1.Z)},
		{sectionK, mapfile.Bytes(key.G1.K)}, {sectionB2, mapfile.Bytes(key.G2.B)},
	}
	for i, one := range key.CommitmentKeys {
		parts = append(parts, part{numbered(sectionBasis, i), mapfile.Bytes(one.Basis)}, part{numbered(sectionSigma, i), mapfile.Bytes(one.BasisExpSigma)})
	}
	for _, p := range parts {
		if err := w.Section(p.name, p.data); err != nil {
			w.Abandon()
			return err
		}
	}
	return w.Close()
}
