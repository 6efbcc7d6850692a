package zkey

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
)

// TestSubgroupCheckOfManyPoints covers the test by random combinations, which short lists do not reach.
func TestSubgroupCheckOfManyPoints(t *testing.T) {
	_, _, _, generator := bn254.Generators()
	points := make([]bn254.G2Affine, 200)
	for i := range points {
		points[i] = generator
	}
	if err := checkSubgroup(points); err != nil {
		t.Fatal(err)
	}
	points[150] = strayPoint(t)
	if checkSubgroup(points) == nil {
		t.Error("a point outside the subgroup was not noticed")
	}
}

func strayPoint(t *testing.T) (p bn254.G2Affine) {
	for x := uint64(1); x < 100; x++ {
		p.X.A0.SetUint64(x)
		var right bn254.E2
		right.Square(&p.X)
		right.Mul(&right, &p.X)
		right.Add(&right, &twistB)
		if right.Legendre() == 1 {
			p.Y.Sqrt(&right)
			if !p.IsInSubGroup() {
				return p
			}
		}
	}
	t.Fatal("no point found")
	return
}
