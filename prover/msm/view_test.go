package msm

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
)

// TestViewsMatchReference takes points where they are, each with a scalar of another place; those at infinity take the
// zero at the end.
func TestViewsMatchReference(t *testing.T) {
	for _, n := range []int{1, 5, 300, 4500} {
		points1, points2 := somePoints(n)
		scalars, elements := someScalars(n)
		scalars = append(scalars, Scalar{})
		wires := make([]uint32, n)
		moved := make([]int, n)
		for i := range wires {
			moved[i] = (i*7 + 3) % n
			wires[i] = uint32(moved[i])
			if points1[i].IsInfinity() {
				wires[i] = uint32(n)
			}
		}
		placed := elements[:0:0]
		for _, j := range moved {
			placed = append(placed, elements[j])
		}
		var want1 bn254.G1Affine
		var want2 bn254.G2Affine
		want1.MultiExp(points1, placed, ecc.MultiExpConfig{})
		want2.MultiExp(points2, placed, ecc.MultiExpConfig{})
		plan, _ := Choose(Load{G1: n, G1Tables: 1, G2: n, G2Tables: 1}, 0)
		digits := Cut(scalars, plan.Width)
		got1, got2 := ViewG1(points1, wires, plan).Sum(digits, 2), ViewG2(points2, wires, plan).Sum(digits, 2)
		var affine1 bn254.G1Affine
		var affine2 bn254.G2Affine
		if !affine1.FromJacobian(&got1).Equal(&want1) || !affine2.FromJacobian(&got2).Equal(&want2) {
			t.Errorf("%d points: another sum", n)
		}
	}
}
