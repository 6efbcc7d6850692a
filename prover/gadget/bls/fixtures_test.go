package bls

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
)

// secret returns the i-th test key.
func secret(i int) *big.Int {
	digest := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("test key"), uint64(i)))
	return new(big.Int).SetBytes(digest[:31])
}

func keyOf(secret *big.Int) (key bls12381.G1Affine) {
	_, _, generator, _ := bls12381.Generators()
	key.ScalarMultiplication(&generator, secret)
	return key
}

func testKeys(count int) []bls12381.G1Affine {
	keys := make([]bls12381.G1Affine, count)
	for i := range keys {
		keys[i] = keyOf(secret(i))
	}
	return keys
}

func inCircuit(keys []bls12381.G1Affine) []sw_bls12381.G1Affine {
	out := make([]sw_bls12381.G1Affine, len(keys))
	for i := range keys {
		out[i] = sw_bls12381.NewG1Affine(keys[i])
	}
	return out
}
