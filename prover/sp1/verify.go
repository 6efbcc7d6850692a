// Package sp1 verifies Groth16 proofs of SP1 programs, as SP1's contracts do on chain.
package sp1

import (
	"crypto/sha256"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// ProofSize is the length of a proof: selector, A, B and C.
const ProofSize = 4 + 64 + 128 + 64

// Rejected says why a proof is not valid.
type Rejected struct{ Reason string }

func (r *Rejected) Error() string { return r.Reason }

func reject(format string, args ...any) error { return &Rejected{fmt.Sprintf(format, args...)} }

// Verify checks a proof: 4 bytes that name the wrapper's key, then A (x, y), B (x1, x0, y1, y0 with x = x0 + x1·u) and
// C (x, y), all big-endian. Its public inputs are the program's hash, a field element, and the SHA-256 of the public
// values without its three highest bits. The error is a *Rejected unless this program is broken.
//
// Encodings are canonical: coordinates below p, points finite, on their curve and in their group. So no changed byte
// gives another valid encoding of the same proof.
func Verify(proof, public, program []byte) error {
	if len(proof) != ProofSize {
		return reject("a proof of %d bytes, expected %d", len(proof), ProofSize)
	}
	load, known := wrappers[[4]byte(proof[:4])]
	if !known {
		return reject("selector %x is none of a known SP1 release", proof[:4])
	}
	key, err := load()
	if err != nil {
		return err
	}
	var inputs [2]fr.Element
	if err := inputs[0].SetBytesCanonical(program); err != nil {
		return reject("the program's hash is not a field element of 32 bytes")
	}
	digest := sha256.Sum256(public)
	digest[0] &= 0x1f
	if err := inputs[1].SetBytesCanonical(digest[:]); err != nil {
		return err // 253 bits always fit
	}
	var a, c bn254.G1Affine
	var b bn254.G2Affine
	if err := readPoints(proof[4:], &a, &b, &c); err != nil {
		return err
	}
	var sum bn254.G1Affine
	if _, err := sum.MultiExp([]bn254.G1Affine{key.onProgram, key.onPublic}, inputs[:], ecc.MultiExpConfig{NbTasks: 1}); err != nil {
		return err
	}
	sum.Add(&sum, &key.constant)
	valid, err := bn254.PairingCheck(
		[]bn254.G1Affine{a, c, key.alpha, sum},
		[]bn254.G2Affine{b, key.deltaNeg, key.betaNeg, key.gammaNeg})
	if err != nil {
		return err
	}
	if !valid {
		return reject("the pairing check fails: another program, other public values or a changed proof")
	}
	return nil
}

func readPoints(data []byte, a *bn254.G1Affine, b *bn254.G2Affine, c *bn254.G1Affine) error {
	numbers := []*fp.Element{&a.X, &a.Y, &b.X.A1, &b.X.A0, &b.Y.A1, &b.Y.A0, &c.X, &c.Y}
	for i, number := range numbers {
		if err := number.SetBytesCanonical(data[32*i : 32*i+32]); err != nil {
			return reject("coordinate %d is not below the field's modulus", i)
		}
	}
	if a.IsInfinity() || b.IsInfinity() || c.IsInfinity() {
		return reject("a point is at infinity")
	}
	if !a.IsOnCurve() || !c.IsOnCurve() {
		return reject("a point is not on the curve")
	}
	if !b.IsOnCurve() || !b.IsInSubGroup() {
		return reject("B is not in its group")
	}
	return nil
}
