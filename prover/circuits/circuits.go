// Package circuits describes the statements that the program proves with gnark. A system's circuit package makes
// descriptions of its circuits; package registry lists them; packages keys and statement work with any of them.
package circuits

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/debug"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/frontend/cs/scs"
	"github.com/consensys/gnark/logger"

	"provery/prover/fault"
)

func init() { logger.Disable() } // it writes to standard output, which belongs to the protocol

// Values are a proof's public values by name, as 0x and hexadecimal digits.
type Values map[string]string

// Scheme is a proof system, over BN254.
type Scheme int

const (
	// Groth16 has the shortest proofs and the fastest prover, and needs a ceremony for each circuit.
	Groth16 Scheme = iota
	// Plonk needs no ceremony of its own: one universal SRS, package srs, serves every circuit that is not too large.
	Plonk
)

func (s Scheme) String() string {
	if s == Plonk {
		return "plonk"
	}
	return "groth16"
}

// Circuit is one statement, to be proved by one scheme.
type Circuit struct {
	Name string
	// Scheme is the proof system; the same statement under two schemes is two circuits.
	Scheme Scheme
	// About says in one line what a proof shows.
	About string
	// ID is the SHA-256 of the compiled constraint system, see Compile. It names the circuit's keys, so that no
	// program works with keys of another version of the circuit. Empty: not known before it is compiled.
	ID string
	// Constraints is their number, for estimates.
	Constraints int
	// Resident says that proofs are so short that what they need is worth keeping in memory between them.
	Resident bool
	// Prepare, if there is one, goes before New: it reads what the circuit is made from.
	Prepare func() error
	// New returns the circuit to compile.
	New func() frontend.Circuit
	// Assign reads an input document, checks the statement outside of the circuit, in milliseconds, and returns the
	// full assignment and its public values. A false statement is a fault of kind InvalidWitness.
	Assign func(input []byte) (frontend.Circuit, Values, error)
	// Public returns an assignment of the public values alone.
	Public func(values Values) (frontend.Circuit, error)
}

// Compiled is a constraint system with its serial form.
type Compiled struct {
	// System is that of a Groth16 circuit, Sparse that of a PLONK one; the other is nil.
	System *cs.R1CS
	Sparse *cs.SparseR1CS
	Bytes  []byte
	ID     string
}

// Constraints is how many constraints, or gates, there are.
func (c *Compiled) Constraints() int {
	if c.Sparse != nil {
		return c.Sparse.GetNbConstraints()
	}
	return c.System.GetNbConstraints()
}

// Compile builds a circuit's constraint system. The outcome depends on the circuit and on gnark's version only: names
// of source files and line numbers, which gnark records for its error messages, are left out.
func Compile(c *Circuit) (*Compiled, error) {
	var builder frontend.NewBuilder = r1cs.NewBuilder
	if c.Scheme == Plonk {
		builder = scs.NewBuilder
	}
	if c.Prepare != nil {
		if err := c.Prepare(); err != nil {
			return nil, err
		}
	}
	built, err := frontend.Compile(ecc.BN254.ScalarField(), builder, c.New(), frontend.IgnoreUnconstrainedInputs())
	if err != nil {
		return nil, fault.New(fault.Internal, "circuit %s does not compile: %s", c.Name, fault.Shorten(err.Error(), 300))
	}
	system := built.(*cs.R1CS) // gnark has one type for both
	system.DebugInfo, system.SymbolTable, system.MDebug = nil, debug.NewSymbolTable(), map[int]int{}
	compiled := &Compiled{System: system}
	if c.Scheme == Plonk {
		compiled = &Compiled{Sparse: system}
	}
	var buffer bytes.Buffer
	if _, err := system.WriteTo(&buffer); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(buffer.Bytes())
	id := hex.EncodeToString(digest[:])
	if c.ID != "" && c.ID != id {
		return nil, fault.New(fault.InvalidKey, "circuit %s compiles to %s, expected %s; its recorded id must be renewed: go run ./bench/circuits", c.Name, id, c.ID)
	}
	compiled.Bytes, compiled.ID = buffer.Bytes(), id
	return compiled, nil
}

// Read decodes the constraint system of a Groth16 circuit that Compile has made.
func Read(text []byte) (*cs.R1CS, error) {
	system := new(cs.R1CS)
	return system, read(system, text)
}

// ReadSparse decodes the constraint system of a PLONK circuit that Compile has made.
func ReadSparse(text []byte) (*cs.SparseR1CS, error) {
	system := new(cs.SparseR1CS)
	return system, read(system, text)
}

func read(into io.ReaderFrom, text []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.CorruptArtifact, "constraint system cannot be read: %s", fault.Shorten(fmt.Sprint(r), 200))
		}
	}()
	if _, err := into.ReadFrom(bytes.NewReader(text)); err != nil {
		return fault.New(fault.CorruptArtifact, "constraint system cannot be read: %s", fault.Shorten(err.Error(), 200))
	}
	return nil
}

// Witness turns an assignment into gnark's form; public leaves the secret part out.
func Witness(assignment frontend.Circuit, public bool) (witness.Witness, error) {
	var options []frontend.WitnessOption
	if public {
		options = append(options, frontend.PublicOnly())
	}
	return frontend.NewWitness(assignment, ecc.BN254.ScalarField(), options...)
}

// Find returns the circuit of a name.
func Find(all []*Circuit, name string) (*Circuit, error) {
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
	}
	return nil, fault.New(fault.InvalidInput, "no circuit is called %q; `circuit list` names them", fault.Shorten(name, 80))
}
