package msm

import (
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// ViewG1 makes a table of points that stay where they are, such as in a mapped file, with no multiples: plan has one
// level. Point i takes scalar scalars[i]. A point at infinity may only take a scalar that is zero.
func ViewG1(points []bn254.G1Affine, scalars []uint32, plan Plan) *G1Table {
	return view[bn254.G1Affine, bn254.G1Jac, fp.Vector, g1](points, scalars, plan)
}

// ViewG2 is ViewG1 for points of G2.
func ViewG2(points []bn254.G2Affine, scalars []uint32, plan Plan) *G2Table {
	return view[bn254.G2Affine, bn254.G2Jac, pairs, g2](points, scalars, plan)
}

func view[P, J, V any, C curve[P, J, V]](points []P, scalars []uint32, plan Plan) *table[P, J, V, C] {
	if plan.Levels != 1 || len(points) != len(scalars) {
		panic("msm: a view has one level and a scalar for each point")
	}
	return &table[P, J, V, C]{plan: plan, count: len(points), points: points, wires: scalars}
}
