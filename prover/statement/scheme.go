package statement

import (
	"bytes"
	"io"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend"
	bn254groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	bn254plonk "github.com/consensys/gnark/backend/plonk/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/keys"
	"provery/prover/pace"
	"provery/prover/plonk"
)

// verifyingKey is a key of either scheme, with what differs between them.
type verifyingKey interface {
	// inputs is how many public values the key takes.
	inputs() int
	// verify checks a proof in its file's form; there must be as many public values as the key takes.
	verify(file []byte, public fr.Vector) error
	// open reads and maps what proving with a set-up takes. With keep, work is done that pays from the second proof on.
	open(store keys.Store, manifest *keys.Manifest, keep bool, threads int) (instrument, error)
	ExportSolidity(to io.Writer, options ...solidity.ExportOption) error
}

// instrument is what proofs are made with: a constraint system in memory and a proving key, mapped.
type instrument interface {
	// prove makes a proof in its file's form.
	prove(full witness.Witness, threads int, begin func(step string)) ([]byte, error)
	// bytes is about how much memory it takes, pages of mapped files included.
	bytes() int64
	close()
}

// memoryOf is about how much memory a decoded constraint system takes, and the files that are mapped with it.
func memoryOf(manifest *keys.Manifest) int64 {
	return 8*manifest.Files["cs"].Bytes + manifest.Files["pk"].Bytes
}

// schemeName is the scheme's name in files, where none stands for Groth16.
func schemeName(scheme circuits.Scheme) string {
	if scheme == circuits.Groth16 {
		return ""
	}
	return scheme.String()
}

func stepsOf(scheme circuits.Scheme) []pace.Step {
	if scheme == circuits.Plonk {
		return plonk.ProveSteps
	}
	return groth16Steps
}

func readVerifyingKey(scheme circuits.Scheme, text []byte) (verifyingKey, error) {
	if scheme == circuits.Plonk {
		vk, err := plonk.DecodeVerifyingKey(text)
		return plonkKey{vk}, err
	}
	vk, reader := new(bn254groth16.VerifyingKey), bytes.NewReader(text)
	if _, err := vk.ReadFrom(reader); err != nil || reader.Len() != 0 {
		return nil, fault.New(fault.InvalidKey, "the verifying key is damaged: %v", err)
	}
	return groth16Key{vk}, nil
}

type groth16Key struct{ *bn254groth16.VerifyingKey }

func (k groth16Key) inputs() int { return k.NbPublicWitness() - len(k.CommitmentKeys) }

func (k groth16Key) verify(file []byte, public fr.Vector) error {
	proof, err := decodeProof(file, len(k.CommitmentKeys))
	if err != nil {
		return err
	}
	if err := bn254groth16.Verify(proof, k.VerifyingKey, public, solidity.WithVerifierTargetSolidityVerifier(backend.GROTH16)); err != nil {
		return fault.New(fault.InvalidProof, "the proof does not hold for its public values")
	}
	return nil
}

func (k groth16Key) open(store keys.Store, manifest *keys.Manifest, _ bool, _ int) (instrument, error) {
	text, err := store.Read(manifest, "cs")
	if err != nil {
		return nil, err
	}
	system, err := circuits.Read(text)
	if err != nil {
		return nil, err
	}
	key, err := store.ProvingKey(manifest, system)
	if err != nil {
		return nil, err
	}
	return &groth16Instrument{system, key, memoryOf(manifest)}, nil
}

type groth16Instrument struct {
	system *cs.R1CS
	key    *keys.ProvingKey
	memory int64
}

func (g *groth16Instrument) prove(full witness.Witness, threads int, begin func(step string)) ([]byte, error) {
	maker := &prover{system: g.system, key: g.key, commitments: g.system.CommitmentInfo.(constraint.Groth16Commitments), threads: threads, begin: begin}
	proof, err := maker.prove(full)
	if err != nil {
		return nil, err
	}
	return encodeProof(proof), nil
}

func (g *groth16Instrument) bytes() int64 { return g.memory }
func (g *groth16Instrument) close()       { _ = g.key.Close() }

type plonkKey struct{ *bn254plonk.VerifyingKey }

func (k plonkKey) inputs() int { return k.NbPublicWitness() }

func (k plonkKey) verify(file []byte, public fr.Vector) error {
	return plonk.Verify(file, k.VerifyingKey, public)
}

func (k plonkKey) open(store keys.Store, manifest *keys.Manifest, keep bool, threads int) (instrument, error) {
	text, err := store.Read(manifest, "cs")
	if err != nil {
		return nil, err
	}
	system, err := circuits.ReadSparse(text)
	if err != nil {
		return nil, err
	}
	key, err := store.PlonkKey(manifest, system, k.VerifyingKey)
	if err != nil {
		return nil, err
	}
	out := &plonkInstrument{system, key, memoryOf(manifest)}
	if keep {
		out.memory += key.Widen(threads)
	}
	return out, nil
}

type plonkInstrument struct {
	system *cs.SparseR1CS
	key    *plonk.Key
	memory int64
}

func (p *plonkInstrument) prove(full witness.Witness, threads int, begin func(step string)) ([]byte, error) {
	proof, err := plonk.Prove(p.system, p.key, full, threads, begin)
	if err != nil {
		return nil, err
	}
	return plonk.EncodeProof(proof), nil
}

func (p *plonkInstrument) bytes() int64 { return p.memory }
func (p *plonkInstrument) close()       { p.key.Close() }
