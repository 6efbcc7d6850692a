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
	// prove makes a proof in its file's form.
	prove(j *job) ([]byte, error)
	ExportSolidity(to io.Writer, options ...solidity.ExportOption) error
}

// job is a proof to be made.
type job struct {
	store    keys.Store
	manifest *keys.Manifest
	witness  witness.Witness
	threads  int
	begin    func(step string)
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

func (k groth16Key) prove(j *job) ([]byte, error) {
	text, err := j.store.Read(j.manifest, "cs")
	if err != nil {
		return nil, err
	}
	system, err := circuits.Read(text)
	if err != nil {
		return nil, err
	}
	key, err := j.store.ProvingKey(j.manifest, system)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	maker := &prover{system: system, key: key, commitments: system.CommitmentInfo.(constraint.Groth16Commitments), threads: j.threads, begin: j.begin}
	proof, err := maker.prove(j.witness)
	if err != nil {
		return nil, err
	}
	return encodeProof(proof), nil
}

type plonkKey struct{ *bn254plonk.VerifyingKey }

func (k plonkKey) inputs() int { return k.NbPublicWitness() }

func (k plonkKey) verify(file []byte, public fr.Vector) error {
	return plonk.Verify(file, k.VerifyingKey, public)
}

func (k plonkKey) prove(j *job) ([]byte, error) {
	text, err := j.store.Read(j.manifest, "cs")
	if err != nil {
		return nil, err
	}
	system, err := circuits.ReadSparse(text)
	if err != nil {
		return nil, err
	}
	key, err := j.store.PlonkKey(j.manifest, system, k.VerifyingKey)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	proof, err := plonk.Prove(system, key, j.witness, j.threads, j.begin)
	if err != nil {
		return nil, err
	}
	return plonk.EncodeProof(proof), nil
}
