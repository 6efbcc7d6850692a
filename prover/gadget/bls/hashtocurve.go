package bls

import (
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/hash_to_curve"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/fields_bls12381"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"

	"provery/prover/gadget/sha256"
)

// SignatureDST is the domain separation tag of Ethereum's signatures.
const SignatureDST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

// uniformBytes are taken for each of the four field elements: 48 for the element, 16 against bias.
const uniformBytes = 64

// HashToG2 hashes a message of 32 bytes to a point.
//
// Statement: point = hash_to_curve(message) in G2 under SignatureDST.
// Cost: 575 k constraints, half of them for nine SHA-256.
// Method: the library's map to the isogenous curve and clearing of the cofactor; SHA-256 on bits instead of its
// lookups, and one isogeny after the addition instead of two before. The addition proves that its points have
// different x, which hashed points have but with a probability of 2^-760.
// Hints: the library's for the square root and for divisions, bound there.
// Source: RFC 9380, sections 5.3.1, 6.6.3, 8.8.2 and appendix G.3.
func HashToG2(api frontend.API, message sha256.Digest) (*sw_bls12381.G2Affine, error) {
	g2, err := sw_bls12381.NewG2(api)
	if err != nil {
		return nil, err
	}
	fp, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return nil, err
	}
	var elements [4]element
	for i, bytes := range expand(sha256.New(api), message) {
		elements[i] = *reduceBytes(fp, bytes)
	}
	first, err := g2.MapToCurve2(&fields_bls12381.E2{A0: elements[0], A1: elements[1]})
	if err != nil {
		return nil, err
	}
	second, err := g2.MapToCurve2(&fields_bls12381.E2{A0: elements[2], A1: elements[3]})
	if err != nil {
		return nil, err
	}
	return g2.ClearCofactor(isogeny(fp, g2, chord(api, g2, first, second))), nil
}

// expand is expand_message_xmd for 256 bytes, in parts of uniformBytes.
func expand(h *sha256.Hasher, message sha256.Digest) (out [4][]sha256.Byte) {
	const length = len(out) * uniformBytes
	tag := append([]byte(SignatureDST), byte(len(SignatureDST)))
	text := append(sha256.Constant(make([]byte, 64)), message.Bytes()...)
	first := h.Sum(append(text, sha256.Constant(append([]byte{byte(length >> 8), byte(length & 0xff), 0}, tag...))...))
	var block sha256.Digest
	for i := range length / 32 {
		mixed := first
		if i > 0 {
			for k := range mixed {
				mixed[k] = h.Xor(first[k], block[k])
			}
		}
		block = h.Sum(append(mixed.Bytes(), sha256.Constant(append([]byte{byte(i + 1)}, tag...))...))
		out[i/2] = append(out[i/2], block.Bytes()...)
	}
	return out
}

// reduceBytes returns 64 bytes, the most significant first, modulo p.
func reduceBytes(f *field, bytes []sha256.Byte) *element {
	const lowBytes = fp.Bytes - 1 // 376 bits fit a coordinate
	var bits []frontend.Variable
	for i := len(bytes) - 1; i >= 0; i-- {
		bits = append(bits, bytes[i][:]...)
	}
	weight := f.NewElement(new(big.Int).Lsh(big.NewInt(1), 8*lowBytes))
	return f.Add(f.Mul(f.FromBits(bits[8*lowBytes:]...), weight), f.FromBits(bits[:8*lowBytes]...))
}

// chord adds two points of the same curve with different x.
func chord(api frontend.API, g2 *sw_bls12381.G2, p, q *sw_bls12381.G2Affine) *sw_bls12381.G2Affine {
	run := g2.Sub(&q.P.X, &p.P.X)
	api.AssertIsEqual(g2.IsZero(run), 0)
	slope := g2.DivUnchecked(g2.Sub(&q.P.Y, &p.P.Y), run)
	var sum sw_bls12381.G2Affine
	sum.P.X = *g2.Sub(g2.Square(slope), g2.Ext2.Add(&p.P.X, &q.P.X))
	sum.P.Y = *g2.Sub(g2.Mul(slope, g2.Sub(&p.P.X, &sum.P.X)), &p.P.Y)
	return &sum
}

// isogeny maps a point of the curve that MapToCurve2 gives to the curve of G2. A point of the kernel, where the
// denominators vanish and the numerators do not, cannot be proven; it is met with a probability of 2^-760.
func isogeny(f *field, g2 *sw_bls12381.G2, p *sw_bls12381.G2Affine) *sw_bls12381.G2Affine {
	maps := hash_to_curve.G2IsogenyMap() // x's numerator and denominator, y's numerator and denominator
	var image sw_bls12381.G2Affine
	image.P.X = *g2.DivUnchecked(polynomial(f, g2, maps[0], false, &p.P.X), polynomial(f, g2, maps[1], true, &p.P.X))
	y := g2.DivUnchecked(polynomial(f, g2, maps[2], false, &p.P.X), polynomial(f, g2, maps[3], true, &p.P.X))
	image.P.Y = *g2.Mul(y, &p.P.Y)
	return &image
}

// polynomial evaluates by Horner's rule; coefficients start with the constant, and a monic one lacks its leading one.
func polynomial(f *field, g2 *sw_bls12381.G2, coefficients []bls12381.E2, monic bool, x *fields_bls12381.E2) *fields_bls12381.E2 {
	constants := make([]fields_bls12381.E2, len(coefficients))
	for i := range coefficients {
		constants[i] = fields_bls12381.E2{A0: *f.NewElement(coefficients[i].A0), A1: *f.NewElement(coefficients[i].A1)}
	}
	last := len(constants) - 1
	value := &constants[last]
	if monic {
		value = g2.Ext2.Add(value, x)
	}
	for i := last - 1; i >= 0; i-- {
		value = g2.Ext2.Add(g2.Mul(value, x), &constants[i])
	}
	return value
}
