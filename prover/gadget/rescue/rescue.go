// Package rescue hashes field elements of BN254 with the Rescue permutation, in a circuit and outside it.
//
// Statement: out is the hash of the inputs, whose number is fixed when the circuit is compiled. State of 4 elements, 3
// of them rate; 12 rounds of two layers, x ↦ x^(1/5) and x ↦ x^5, each followed by the matrix and a round key. The
// message is padded by a one and then zeros up to a multiple of three (VariableLengthRescueCRHF); the hash is the
// first element of the final state.
//
// Cost: 288 constraints a permutation, which takes 3 elements: three for each of 96 fifth powers, linear layers are
// free. 580 gates in PLONK.
//
// Soundness: a fifth root is a hint, of which the circuit computes the fifth power; 5 does not divide the order of the
// field's group, so that there is one root only. Collisions cost 2^127 (capacity of 254 bits).
//
// Source: Aly, Ashur, Ben-Sasson, Dhooghe, Szepieniec: Design of Symmetric-Key Primitives for Advanced Cryptographic
// Protocols, eprint 2019/426; constants and padding as HotShot has them (constants.go).
package rescue

import (
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/product"
)

const (
	width  = 4
	rate   = width - 1
	rounds = 12
)

func init() { solver.RegisterHint(fifthRoot) }

// fifthRoot is the hint of the inverse layer.
func fifthRoot(_ *big.Int, inputs, outputs []*big.Int) error {
	var x fr.Element
	x.SetBigInt(inputs[0])
	root(&x).BigInt(outputs[0])
	return nil
}

// Hasher makes the constraints of hashes.
type Hasher struct {
	api  frontend.API
	mds  [width][width]*big.Int
	keys [2*rounds + 1][width]*big.Int
}

// New returns the hasher of the circuit that api builds.
func New(api frontend.API) *Hasher {
	h := &Hasher{api: api}
	for i := range width {
		for j := range width {
			h.mds[i][j] = mds[i][j].BigInt(new(big.Int))
		}
	}
	for r := range keys {
		for i := range width {
			h.keys[r][i] = keys[r][i].BigInt(new(big.Int))
		}
	}
	return h
}

// Sum returns the hash of inputs.
func (h *Hasher) Sum(inputs ...frontend.Variable) (frontend.Variable, error) {
	message := append(slices.Clone(inputs), 1)
	for len(message)%rate != 0 {
		message = append(message, 0)
	}
	state := [width]frontend.Variable{0, 0, 0, 0}
	for start := 0; start < len(message); start += rate {
		for i, v := range message[start : start+rate] {
			state[i] = h.api.Add(state[i], v, h.keys[0][i])
		}
		state[rate] = h.api.Add(state[rate], h.keys[0][rate])
		if err := h.permute(&state); err != nil {
			return nil, err
		}
	}
	return state[0], nil
}

// permute applies the layers; the first key is in the state already.
func (h *Hasher) permute(state *[width]frontend.Variable) error {
	for r := range rounds {
		for i, x := range state {
			y, err := h.root(x)
			if err != nil {
				return err
			}
			state[i] = y
		}
		h.mix(state, &h.keys[2*r+1])
		for i, x := range state {
			state[i] = h.api.Mul(h.fourth(x), x)
		}
		h.mix(state, &h.keys[2*r+2])
	}
	return nil
}

func (h *Hasher) fourth(x frontend.Variable) frontend.Variable {
	square := h.api.Mul(x, x)
	return h.api.Mul(square, square)
}

// root returns the y with y^5 = x.
func (h *Hasher) root(x frontend.Variable) (frontend.Variable, error) {
	if value, constant := h.api.Compiler().ConstantValue(x); constant {
		var known fr.Element
		known.SetBigInt(value)
		return root(&known).BigInt(new(big.Int)), nil
	}
	hinted, err := h.api.Compiler().NewHint(fifthRoot, 1, x)
	if err != nil {
		return nil, err
	}
	product.Assert(h.api, h.fourth(hinted[0]), hinted[0], x)
	return hinted[0], nil
}

// mix multiplies by the matrix and adds a round key.
func (h *Hasher) mix(state *[width]frontend.Variable, key *[width]*big.Int) {
	var next [width]frontend.Variable
	for i := range next {
		var terms [width]frontend.Variable
		for j, x := range state {
			terms[j] = h.api.Mul(x, h.mds[i][j])
		}
		next[i] = h.api.Add(terms[0], terms[1], terms[2], terms[3], key[i])
	}
	*state = next
}
