package schnorr

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
)

// subtractMultiple returns 2^247·offset − c·key for the bits of c, the lowest first. Cost: 6 constraints a bit.
//
// With the lowest bit set, c is 2^247 + Σ (2·c[i+1] − 1)·2^i, which has no digit zero: each step doubles and adds the
// key or its negation. What that adds for an even c is taken back at the end.
func subtractMultiple(api frontend.API, c []frontend.Variable, key point) (point, error) {
	negated := point{key.u, api.Neg(key.v)}
	sum, err := add(api, constant(offset), negated)
	if err != nil {
		return sum, err
	}
	for i := len(c) - 1; i > 0; i-- {
		digit := point{key.u, api.Mul(api.Sub(1, api.Mul(c[i], 2)), key.v)}
		if sum, err = doubleAdd(api, sum, digit); err != nil {
			return sum, err
		}
	}
	even, err := add(api, sum, key)
	if err != nil {
		return sum, err
	}
	return point{api.Select(c[0], sum.u, even.u), api.Select(c[0], sum.v, even.v)}, nil
}

// lifted is the multiple of the offset that subtractMultiple leaves.
func lifted() Point {
	return offset.Multiply(new(big.Int).Lsh(big.NewInt(1), challengeBits-1))
}
