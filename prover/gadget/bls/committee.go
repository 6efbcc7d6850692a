package bls

import (
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"

	"provery/prover/gadget/poseidon"
)

// ShardKeys is how many keys one partial commitment covers: the size that a circuit of its own can take for the SSZ
// root of the same keys.
const ShardKeys = 32

// Tags keep the two levels of the commitment apart.
const (
	shardTag     = 1
	committeeTag = 2
)

// Commit binds the committee.
//
// Statement: every key is a point of the curve other than infinity, in coordinates below p; the commitment is the
// sponge of the shards' commitments, and a shard's that of its 32 keys, each as x and y in two parts of 192 and 189
// bits, the lower first.
// Cost: 741 constraints a key in a small circuit, 160 of them for the sponge; less in a large one, whose range checks
// share a larger table.
// Not proven: membership in the subgroup (see the package's documentation).
func Commit(api frontend.API, keys []sw_bls12381.G1Affine) (frontend.Variable, error) {
	fp, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return nil, err
	}
	four := fp.NewElement(4)
	var shards []frontend.Variable
	for start := 0; start < len(keys); start += ShardKeys {
		var inputs []frontend.Variable
		for i := start; i < min(start+ShardKeys, len(keys)); i++ {
			x, y := &keys[i].X, &keys[i].Y
			for _, coordinate := range []*element{x, y} {
				parts, err := assertCanonical(api, fp, coordinate)
				if err != nil {
					return nil, err
				}
				inputs = append(inputs, parts[0], parts[1])
			}
			// y² = x³ + 4; infinity, (0, 0), is no solution
			fp.AssertEvalIsZero([][]*element{{x, x, x}, {four}, {y, y}}, []int{1, 1, -1})
		}
		shard, err := poseidon.Sum(api, shardTag, inputs...)
		if err != nil {
			return nil, err
		}
		shards = append(shards, shard)
	}
	return poseidon.Sum(api, committeeTag, shards...)
}

// Commitment is what Commit gives for keys, outside a circuit.
func Commitment(keys []bls12381.G1Affine) fr.Element {
	var shards []fr.Element
	for start := 0; start < len(keys); start += ShardKeys {
		var inputs []fr.Element
		for _, key := range keys[start:min(start+ShardKeys, len(keys))] {
			inputs = append(append(inputs, parts(key.X)...), parts(key.Y)...)
		}
		shards = append(shards, poseidon.Native(shardTag, inputs...))
	}
	return poseidon.Native(committeeTag, shards...)
}

func parts(coordinate fp.Element) []fr.Element {
	var n big.Int
	coordinate.BigInt(&n)
	high := new(big.Int).Rsh(&n, lowBits)
	n.Sub(&n, new(big.Int).Lsh(high, lowBits))
	out := make([]fr.Element, 2)
	out[0].SetBigInt(&n)
	out[1].SetBigInt(high)
	return out
}
