package srs

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"provery/prover/mapfile"
)

func interpolate(values []fr.Element) {
	domain := fft.NewDomain(uint64(len(values)))
	domain.FFTInverse(values, fft.DIF)
	fft.BitReverse(values)
}

// twistPoint is a point of the twist y² = x³ + 3/(9+u) outside of the subgroup, as it lies in memory.
func twistPoint(t *testing.T) []byte {
	t.Helper()
	_, _, _, base := bn254.Generators()
	// b = y² − x³ of a point that is known
	var b, cube bn254.E2
	b.Square(&base.Y)
	cube.Square(&base.X).Mul(&cube, &base.X)
	b.Sub(&b, &cube)
	var p bn254.G2Affine
	for i := uint64(1); i < 100; i++ {
		p.X.A0.SetUint64(i)
		p.X.A1.SetZero()
		var right bn254.E2
		right.Square(&p.X).Mul(&right, &p.X).Add(&right, &b)
		if right.Legendre() != 1 {
			continue
		}
		p.Y.Sqrt(&right)
		if p.IsOnCurve() && !p.IsInSubGroup() {
			return mapfile.Bytes([]bn254.G2Affine{p})
		}
	}
	t.Fatal("no point found")
	return nil
}
