package schnorr

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
	stdbits "github.com/consensys/gnark/std/math/bits"

	"provery/prover/gadget/product"
)

// canonicalBits returns the bits of x as a number below the field's modulus, the lowest first. Cost: 386 constraints,
// 131 of them for the canonical one of two representations.
func canonicalBits(api frontend.API, x frontend.Variable) []frontend.Variable {
	bits := stdbits.ToBinary(api, x, stdbits.WithNbDigits(api.Compiler().FieldBitLen()), stdbits.OmitModulusCheck())
	assertAtMost(api, bits, new(big.Int).Sub(api.Compiler().Field(), big.NewInt(1)))
	return bits
}

// assertAtMost states that bits, which are boolean, make a number that is not above bound. From the highest bit on,
// equal says whether they are the bound's so far; while they are, no bit is set where the bound has none. Cost: at most
// two constraints for each run of ones and one for each run of zeros.
func assertAtMost(api frontend.API, bits []frontend.Variable, bound *big.Int) {
	var equal frontend.Variable = 1
	for end := len(bits); end > 0; {
		begin := end - 1
		sum := bits[begin]
		for begin > 0 && bound.Bit(begin-1) == bound.Bit(end-1) {
			begin--
			sum = api.Add(sum, bits[begin])
		}
		if bound.Bit(end-1) == 0 {
			product.Assert(api, equal, sum, 0)
		} else {
			equal = all(api, equal, sum, end-begin)
		}
		end = begin
	}
}

// all returns 1 if equal is 1 and sum, of so many bits, is their number; otherwise 0.
func all(api frontend.API, equal, sum frontend.Variable, number int) frontend.Variable {
	if number == 1 {
		return api.Mul(equal, sum)
	}
	return api.IsZero(api.Sub(number+1, equal, sum))
}
