package schnorr

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/gadget/rescue"
)

// domain separates these hashes from others: the bytes as a number, the first the most significant.
var domain = new(fr.Element).SetBytes([]byte("SCHNORR_WITH_RESCUE_HASH_v01"))

// challengeBits are taken of the hash, from the lowest: fewer than the group's order has.
const challengeBits = 248

// Signature is (S, R); S is below the group's order.
type Signature struct {
	S *big.Int
	R Point
}

// Challenge returns c.
func Challenge(key, r Point, message []fr.Element) *big.Int {
	hash := rescue.Native(append([]fr.Element{*domain, key.X, key.Y, r.X, r.Y}, message...)...)
	c := hash.BigInt(new(big.Int))
	return c.And(c, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), challengeBits), big.NewInt(1)))
}

// Valid tells whether s is key's signature of message. It is not for a key of small order or off the curve, nor for an
// S that is not below the order.
func (s *Signature) Valid(key Point, message []fr.Element) bool {
	if s.S.Sign() < 0 || s.S.Cmp(Order) >= 0 || !key.IsOnCurve() || key.IsSmall() || !s.R.IsOnCurve() {
		return false
	}
	return combine(s.S, Base, Challenge(key, s.R, message), key.Negate()) == s.R
}

// Sign signs under secret·Base. The nonce must be a secret of its own, used for no other message; where the secret is
// known to all it may be anything but zero.
func Sign(secret, nonce *big.Int, message []fr.Element) *Signature {
	r := Base.Multiply(nonce)
	s := Challenge(Base.Multiply(secret), r, message)
	s.Mul(s, secret).Add(s, nonce)
	return &Signature{s.Mod(s, Order), r}
}
