package groth16

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/msm"
	"provery/prover/zkey"
)

func TestAPanicInAProductIsItsCallers(t *testing.T) {
	one := fr.One()
	coefficients := make([]zkey.Coefficient, 8)
	for i := range coefficients {
		coefficients[i] = zkey.Coefficient{Constraint: uint32(i), Signal: uint32(i), Value: one}
	}
	m := newMatrix(coefficients, 0, len(coefficients))
	for threads := 1; threads <= 4; threads++ {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d threads: a witness that is too short was taken", threads)
				}
			}()
			m.times(make([]msm.Scalar, 5), make([]fr.Element, 8), threads)
		}()
	}
}
