package msm

import "github.com/consensys/gnark-crypto/ecc/bn254"

// SumG1 computes Σ kᵢ·Pᵢ for points that stay where they are, none at infinity unless its scalar is zero.
func SumG1[S ~[4]uint64](points []bn254.G1Affine, scalars []S, threads int) bn254.G1Jac {
	plan, _ := Choose(Load{G1: len(points), G1Tables: 1}, 0)
	order := make([]uint32, len(points))
	for i := range order {
		order[i] = uint32(i)
	}
	return ViewG1(points, order, plan).Sum(Cut(scalars, plan.Width), threads)
}
