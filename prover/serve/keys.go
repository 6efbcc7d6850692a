package serve

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"

	"provery/prover/binfile"
	"provery/prover/fault"
	"provery/prover/groth16"
	"provery/prover/r1cs"
	"provery/prover/zkey"
)

// KeyReport describes a proving key.
type KeyReport struct {
	zkey.Summary
	// VkeySHA256 is the digest of the verifying key's JSON as ExportVerifyingKey writes it.
	VkeySHA256 string `json:"vkey_sha256"`
}

// InspectKey parses and checks a proving key fully.
func InspectKey(path, digest string, limit int64) (*KeyReport, error) {
	if path == "" {
		return nil, fault.New(fault.InvalidInput, "op inspect needs zkey")
	}
	key, data, err := readKey(path, limit)
	if err != nil {
		return nil, err
	}
	report := &KeyReport{Summary: key.Summarize(data)}
	if digest != "" && report.SHA256 != digest {
		return nil, fault.New(fault.CorruptArtifact, "%s has SHA-256 %s, expected %s", path, report.SHA256, fault.Shorten(digest, 64))
	}
	vkey, err := groth16.EncodeVerifyingKey(verifyingKeyOf(key))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(vkey)
	report.VkeySHA256 = hex.EncodeToString(sum[:])
	return report, nil
}

// ExportVerifyingKey returns the verifying key of the proving key at path as JSON.
func ExportVerifyingKey(path string, limit int64) ([]byte, error) {
	key, _, err := readKey(path, limit)
	if err != nil {
		return nil, err
	}
	return groth16.EncodeVerifyingKey(verifyingKeyOf(key))
}

func readKey(path string, limit int64) (*zkey.Key, []byte, error) {
	data, _, err := readFile(path, limit)
	if err != nil {
		return nil, nil, err
	}
	key, err := zkey.Parse(data)
	return key, data, err
}

func verifyingKeyOf(key *zkey.Key) *groth16.VerifyingKey {
	return &groth16.VerifyingKey{Alpha1: key.Alpha1, Beta2: key.Beta2, Gamma2: key.Gamma2, Delta2: key.Delta2, IC: key.IC}
}

// SetupReport describes a key made by Setup.
type SetupReport struct {
	Insecure bool            `json:"insecure_development_setup"`
	Zkey     binfile.Written `json:"zkey"`
	NVars    int             `json:"n_vars"`
	NPublic  int             `json:"n_public"`
	Rows     int             `json:"constraints"`
	Domain   int             `json:"domain_size"`
}

// Setup makes a development key for the constraint system at path and writes it to out. seed makes the key
// reproducible, for tests; nil takes the system's randomness.
func Setup(path, out string, seed []byte, threads int) (*SetupReport, error) {
	data, _, err := readFile(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	system, err := r1cs.Parse(data)
	if err != nil {
		return nil, err
	}
	hash := sha512.Sum512(data)
	key, err := groth16.Setup(system, seed, hash[:], threads)
	if err != nil {
		return nil, err
	}
	written, err := binfile.WriteAtomic(out, key.Encode()...)
	if err != nil {
		return nil, err
	}
	return &SetupReport{true, written, key.NVars, key.NPublic, len(system.Constraints), key.DomainSize}, nil
}
