package main

import (
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/bits"

	"provery/prover/gadget/bls"
	"provery/prover/gadget/poseidon"
	"provery/prover/gadget/rescue"
	"provery/prover/gadget/schnorr"
	"provery/prover/gadget/sha256"
)

// gadget is one gadget alone, with what it shares with others (range check tables) counted to it.
type gadget struct {
	name    string
	circuit frontend.Circuit
	small   bool // compiled by the tests
}

func gadgets() []gadget {
	keys := func(n int) []sw_bls12381.G1Affine { return make([]sw_bls12381.G1Affine, n) }
	return []gadget{
		{"sha256_64_bytes", &shaCircuit{}, true},
		{"poseidon2_15_elements", &poseidonCircuit{In: make([]frontend.Variable, 15)}, true},
		{"rescue_2_elements", &rescueCircuit{}, true},
		{"schnorr_7_elements", &schnorrCircuit{}, true},
		{"committee_commitment_32_keys", &commitCircuit{Keys: keys(32)}, true},
		{"committee_commitment_64_keys", &commitCircuit{Keys: keys(64)}, true},
		{"sum_of_signers_32_keys", &sumCircuit{Keys: keys(32), Bits: make([]frontend.Variable, 32)}, true},
		{"sum_of_signers_64_keys", &sumCircuit{Keys: keys(64), Bits: make([]frontend.Variable, 64)}, true},
		{"hash_to_g2_32_bytes", &hashCircuit{}, false},
		{"verify_signature", &verifyCircuit{}, false},
	}
}

type shaCircuit struct{ Left, Right sha256.Digest }

func (c *shaCircuit) Define(api frontend.API) error {
	sha256.New(api).Pair(c.Left, c.Right)
	return nil
}

type poseidonCircuit struct{ In []frontend.Variable }

func (c *poseidonCircuit) Define(api frontend.API) error {
	_, err := poseidon.Sum(api, 0, c.In...)
	return err
}

type rescueCircuit struct{ In [2]frontend.Variable }

func (c *rescueCircuit) Define(api frontend.API) error {
	_, err := rescue.New(api).Sum(c.In[:]...)
	return err
}

type schnorrCircuit struct {
	Key       schnorr.PointVariable
	Signature schnorr.SignatureVariable
	Message   [7]frontend.Variable
}

func (c *schnorrCircuit) Define(api frontend.API) error {
	return schnorr.Verify(api, rescue.New(api), c.Key, c.Signature, c.Message[:])
}

type commitCircuit struct{ Keys []sw_bls12381.G1Affine }

func (c *commitCircuit) Define(api frontend.API) error {
	_, err := bls.Commit(api, c.Keys)
	return err
}

type sumCircuit struct {
	Keys []sw_bls12381.G1Affine
	Bits []frontend.Variable
}

func (c *sumCircuit) Define(api frontend.API) error {
	_, err := bls.Sum(api, c.Keys, c.Bits)
	return err
}

type hashCircuit struct{ Message [2]frontend.Variable }

func (c *hashCircuit) Define(api frontend.API) error {
	var digest sha256.Digest
	for i, half := range c.Message {
		digits := bits.ToBinary(api, half, bits.WithNbDigits(128))
		for k := range 4 {
			digest[4*i+3-k] = sha256.Word(digits[32*k : 32*k+32])
		}
	}
	_, err := bls.HashToG2(api, digest)
	return err
}

type verifyCircuit struct {
	Key                sw_bls12381.G1Affine
	Message, Signature sw_bls12381.G2Affine
}

func (c *verifyCircuit) Define(api frontend.API) error {
	return bls.Verify(api, &c.Key, &c.Message, &c.Signature)
}
