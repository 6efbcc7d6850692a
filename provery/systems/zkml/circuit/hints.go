package circuit

import (
	"errors"
	"math/big"

	"github.com/consensys/gnark/constraint/solver"
)

func init() { solver.RegisterHint(splitHint, largestHint, shareHint, sameHint, rangeHint) }

// errHint is a hint's answer to a number that is not where the bounds say.
var errHint = errors.New("a number is out of its interval")

// signed turns a field element into the number nearest to zero that it stands for.
func signed(field, x *big.Int) *big.Int {
	if x.BitLen() < field.BitLen()-1 {
		return x
	}
	return new(big.Int).Sub(x, field)
}

// splitHint cuts a number into digits, lowest first. Inputs: the number, what is added to it first, and the digits'
// numbers of bits.
func splitHint(field *big.Int, inputs, outputs []*big.Int) error {
	rest := new(big.Int).Add(inputs[0], inputs[1])
	rest.Mod(rest, field)
	for i, out := range outputs {
		bits := uint(inputs[2+i].Uint64())
		out.Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1)).And(out, rest)
		rest.Rsh(rest, bits)
	}
	if rest.Sign() != 0 {
		return errHint
	}
	return nil
}

// largestHint answers the largest of numbers.
func largestHint(field *big.Int, inputs, outputs []*big.Int) error {
	most := signed(field, inputs[0])
	for _, x := range inputs[1:] {
		most = largest(most, signed(field, x))
	}
	outputs[0].Mod(most, field)
	return nil
}

// shareHint divides: it answers quotient and remainder of the first number by the second.
func shareHint(_ *big.Int, inputs, outputs []*big.Int) error {
	if inputs[1].Sign() == 0 {
		return errHint
	}
	outputs[0].QuoRem(inputs[0], inputs[1], outputs[1])
	return nil
}

// sameHint answers what it is given.
func sameHint(_ *big.Int, inputs, outputs []*big.Int) error {
	outputs[0].Set(inputs[0])
	return nil
}

// rangeHint cuts a number x of an interval from −most to most into the digits of x, or of x+most if it is negative, and a
// last one that is 1 unless it is negative. Inputs: the number, most, and the digits' numbers of bits.
func rangeHint(field *big.Int, inputs, outputs []*big.Int) error {
	rest, last := new(big.Int).Set(signed(field, inputs[0])), len(outputs)-1
	outputs[last].SetUint64(1)
	if rest.Sign() < 0 {
		rest.Add(rest, inputs[1])
		outputs[last].SetUint64(0)
	}
	if rest.Sign() < 0 {
		return errHint
	}
	return splitHint(field, append([]*big.Int{rest, new(big.Int)}, inputs[2:]...)[:2+last], outputs[:last])
}
