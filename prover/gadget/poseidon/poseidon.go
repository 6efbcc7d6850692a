// Package poseidon hashes field elements of BN254 with a Poseidon2 sponge, in a circuit and outside it.
//
// Statement: out is the sponge of the inputs, whose number is fixed when the circuit is compiled. State of 16 elements,
// 15 of them rate; the capacity starts as tag·2^32 + number of inputs, so that neither other lengths nor other uses
// collide, and zeros fill the last block. The hash is the first element of the final state.
//
// Cost: 555 constraints a permutation, which takes 15 elements: 37 an element, where the width 3 would take 120.
//
// Soundness: collisions cost 2^127 (capacity of 254 bits). Round constants and matrices are the library's for width
// 16, 8 full and 57 partial rounds.
//
// Source: Grassi, Khovratovich, Schofnegger: Poseidon2, eprint 2023/323.
package poseidon

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	native "github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/permutation/poseidon2"
)

const (
	width         = 16
	rate          = width - 1
	fullRounds    = 8
	partialRounds = 57
)

// capacity returns what the last element of the state starts as.
func capacity(tag uint32, inputs int) uint64 { return uint64(tag)<<32 | uint64(inputs) }

// Sum returns the hash of inputs in the circuit that api builds.
func Sum(api frontend.API, tag uint32, inputs ...frontend.Variable) (frontend.Variable, error) {
	permutation, err := poseidon2.NewPoseidon2FromParameters(api, width, fullRounds, partialRounds)
	if err != nil {
		return nil, err
	}
	state := make([]frontend.Variable, width)
	for i := range state {
		state[i] = 0
	}
	state[rate] = new(big.Int).SetUint64(capacity(tag, len(inputs)))
	for start := 0; start == 0 || start < len(inputs); start += rate {
		for i, v := range inputs[start:min(start+rate, len(inputs))] {
			state[i] = api.Add(state[i], v)
		}
		if err := permutation.Permutation(state); err != nil {
			return nil, err
		}
	}
	return state[0], nil
}

// Native is Sum outside a circuit.
func Native(tag uint32, inputs ...fr.Element) fr.Element {
	permutation := native.NewPermutation(width, fullRounds, partialRounds)
	var state [width]fr.Element
	state[rate].SetUint64(capacity(tag, len(inputs)))
	for start := 0; start == 0 || start < len(inputs); start += rate {
		for i, v := range inputs[start:min(start+rate, len(inputs))] {
			state[i].Add(&state[i], &v)
		}
		if err := permutation.Permutation(state[:]); err != nil {
			panic(err) // only for a state of another width
		}
	}
	return state[0]
}
