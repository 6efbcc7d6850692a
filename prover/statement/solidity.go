package statement

import (
	"bytes"
	"fmt"

	"provery/prover/circuits"
	"provery/prover/keys"
)

// solidityOf writes the verifier contract of a key, headed by where the key comes from.
func solidityOf(scheme circuits.Scheme, manifest *keys.Manifest, key []byte) ([]byte, error) {
	vk, err := readVerifyingKey(scheme, key)
	if err != nil {
		return nil, err
	}
	var contract bytes.Buffer
	if err := vk.ExportSolidity(&contract); err != nil {
		return nil, err
	}
	origin := manifest.Setup.Kind
	if manifest.Setup.SRS != "" {
		origin += ", SRS " + manifest.Setup.SRS
	}
	head := fmt.Sprintf("// Circuit %s, %s\n// Verifying key %s (%s)\n", manifest.Circuit, manifest.CircuitID, manifest.SetupID, origin)
	if manifest.Setup.Insecure {
		head += "// " + manifest.Setup.Warning + "\n"
	}
	return append([]byte(head), contract.Bytes()...), nil
}
