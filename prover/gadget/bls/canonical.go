package bls

import (
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"
	"github.com/consensys/gnark/std/rangecheck"
)

func init() { solver.RegisterHint(borrowHint) }

// field is arithmetic modulo the prime of BLS12-381's coordinates: six limbs of 64 bits.
type field = emulated.Field[sw_bls12381.BaseField]

// element is a coordinate.
type element = emulated.Element[sw_bls12381.BaseField]

const (
	limbBits = 64
	// lowBits and highBits are the widths of the two parts that a coordinate is packed into.
	lowBits  = 3 * limbBits
	highBits = bls12381.Bits - lowBits
)

// packed returns a coordinate as two numbers of the circuit's own field, the lower 192 bits first. It costs nothing.
func packed(api frontend.API, e *element) [2]frontend.Variable {
	out := [2]frontend.Variable{0, 0}
	for i, limb := range e.Limbs {
		weight := new(big.Int).Lsh(big.NewInt(1), uint(i%3)*limbBits)
		out[i/3] = api.Add(out[i/3], api.Mul(limb, weight))
	}
	return out
}

// assertCanonical states that e is below p, and returns its packed form.
//
// Statement: p − 1 − e, subtracted in two parts with one borrow between them, has no negative part.
// Cost: range checks of 192 and 189 bits and one boolean.
// Hint: the borrow. A wrong one makes a part negative or 2^192 too large, which the range checks refuse.
func assertCanonical(api frontend.API, fp *field, e *element) ([2]frontend.Variable, error) {
	fp.Reduce(e) // has the limbs' widths checked; reduces nothing, as a witness has no overflow
	parts := packed(api, e)
	low, high := modulusParts()
	low.Sub(low, big.NewInt(1)) // p is odd: no borrow
	borrow, err := api.NewHint(borrowHint, 1, low, parts[0])
	if err != nil {
		return parts, err
	}
	api.AssertIsBoolean(borrow[0])
	checker := rangecheck.New(api)
	unit := new(big.Int).Lsh(big.NewInt(1), lowBits)
	checker.Check(api.Add(api.Sub(low, parts[0]), api.Mul(borrow[0], unit)), lowBits)
	checker.Check(api.Sub(high, parts[1], borrow[0]), highBits)
	return parts, nil
}

func modulusParts() (low, high *big.Int) {
	p := bls12381.Modulus()
	high = new(big.Int).Rsh(p, lowBits)
	return new(big.Int).Sub(p, new(big.Int).Lsh(high, lowBits)), high
}

// borrowHint answers whether the first number is less than the second.
func borrowHint(_ *big.Int, inputs, outputs []*big.Int) error {
	outputs[0].SetUint64(0)
	if inputs[0].Cmp(inputs[1]) < 0 {
		outputs[0].SetUint64(1)
	}
	return nil
}
