package bls

import (
	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
)

// Verify checks the signature's equation.
//
// Statement: e(−G, signature)·e(key, message) = 1, and both signature and message are in the subgroup G2. An infinite
// signature fits an infinite key only, which Sum cannot give.
// Cost: 825 k constraints.
// Source: the library's pairing check, whose lines include the test of the subgroup.
func Verify(api frontend.API, key *sw_bls12381.G1Affine, message, signature *sw_bls12381.G2Affine) error {
	pairing, err := sw_bls12381.NewPairing(api)
	if err != nil {
		return err
	}
	_, _, generator, _ := bls12381.Generators()
	generator.Neg(&generator)
	minus := sw_bls12381.NewG1Affine(generator)
	return pairing.PairingCheck([]*sw_bls12381.G1Affine{&minus, key}, []*sw_bls12381.G2Affine{signature, message})
}
