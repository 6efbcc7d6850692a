package msm

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// somePoints returns n points with repeated, opposite and infinite ones among them.
func somePoints(n int) ([]bn254.G1Affine, []bn254.G2Affine) {
	_, _, base1, base2 := bn254.Generators()
	scalars := make([]fr.Element, n)
	for i := range scalars {
		scalars[i].SetRandom()
	}
	left, right := bn254.BatchScalarMultiplicationG1(&base1, scalars), bn254.BatchScalarMultiplicationG2(&base2, scalars)
	for i := 10; i+3 < n; i += 10 {
		left[i], right[i] = left[i-1], right[i-1]
		left[i+1].Neg(&left[i-1])
		right[i+1].Neg(&right[i-1])
		left[i+2], right[i+2] = bn254.G1Affine{}, bn254.G2Affine{}
	}
	return left, right
}

// someScalars returns n scalars: zeros, ones, minus ones, bytes, one repeated value and random ones.
func someScalars(n int) ([]Scalar, []fr.Element) {
	elements, scalars := make([]fr.Element, n), make([]Scalar, n)
	var repeated fr.Element
	repeated.SetRandom()
	for i := range elements {
		switch i % 7 {
		case 0:
		case 1:
			elements[i].SetOne()
		case 2:
			elements[i].SetInt64(-1)
		case 3:
			elements[i].SetUint64(uint64(i % 256))
		case 4:
			elements[i] = repeated
		default:
			elements[i].SetRandom()
		}
		scalars[i] = elements[i].Bits()
	}
	return scalars, elements
}

func TestSumMatchesReference(t *testing.T) {
	for _, n := range []int{1, 2, 37, 1000, 5001} {
		points1, points2 := somePoints(n)
		scalars, elements := someScalars(n)
		var want1 bn254.G1Affine
		var want2 bn254.G2Affine
		want1.MultiExp(points1, elements, ecc.MultiExpConfig{})
		want2.MultiExp(points2, elements, ecc.MultiExpConfig{})
		for _, plan := range []Plan{{4, 1, 64}, {6, 43, 1}, {11, 1, 24}, {13, 20, 1}, {13, 5, 4}, {16, 2, 8}, {9, 3, 10}} {
			if plan.Sets != (windowCount(plan.Width)+plan.Levels-1)/plan.Levels {
				t.Fatalf("bad plan %+v", plan)
			}
			digits := Cut(scalars, plan.Width)
			for threads := 1; threads <= 3; threads += 2 {
				sum1 := NewG1(Points(points1, 0), plan, threads).Sum(digits, threads)
				sum2 := NewG2(Points(points2, 0), plan, threads).Sum(digits, threads)
				var got1 bn254.G1Affine
				var got2 bn254.G2Affine
				if got1.FromJacobian(&sum1); !got1.Equal(&want1) {
					t.Errorf("G1, %d points, %+v, %d threads: wrong sum", n, plan, threads)
				}
				if got2.FromJacobian(&sum2); !got2.Equal(&want2) {
					t.Errorf("G2, %d points, %+v, %d threads: wrong sum", n, plan, threads)
				}
			}
		}
	}
}

func TestInvertAll(t *testing.T) {
	for _, n := range []int{1, 31, 33, 100, 257, 4099} {
		v, original := make(fp.Vector, n), make(fp.Vector, n)
		for i := range v {
			v[i].SetRandom()
		}
		copy(original, v)
		invertAll(v, make(fp.Vector, 2*n+64))
		for i := range v {
			var product fp.Element
			if !product.Mul(&v[i], &original[i]).IsOne() {
				t.Fatalf("%d elements: element %d is not inverted", n, i)
			}
		}
	}
}

func benchmarkSum(b *testing.B, n int, levels int, width int) {
	_, _, base1, base2 := bn254.Generators()
	elements, scalars := make([]fr.Element, n), make([]Scalar, n)
	for i := range elements {
		elements[i].SetRandom()
		scalars[i] = elements[i].Bits()
	}
	plan := Plan{width, levels, (windowCount(width) + levels - 1) / levels}
	t1 := NewG1(Points(bn254.BatchScalarMultiplicationG1(&base1, elements), 0), plan, 2)
	t2 := NewG2(Points(bn254.BatchScalarMultiplicationG2(&base2, elements[:n/4]), 0), plan, 2)
	digits := Cut(scalars, width)
	b.Run("G1", func(b *testing.B) {
		for range b.N {
			t1.Sum(digits, 1)
		}
	})
	b.Run("G2quarter", func(b *testing.B) {
		for range b.N {
			t2.Sum(digits, 1)
		}
	})
	b.Run("stock", func(b *testing.B) {
		var p bn254.G1Affine
		for range b.N {
			p.MultiExp(t1.points[:n], elements, ecc.MultiExpConfig{NbTasks: 1})
		}
	})
}

func BenchmarkSum64k16(b *testing.B)  { benchmarkSum(b, 1<<16, 16, 16) }
func BenchmarkSum64kOne(b *testing.B) { benchmarkSum(b, 1<<16, 1, 14) }
func BenchmarkSum4k(b *testing.B)     { benchmarkSum(b, 1<<12, 20, 13) }

func TestCutIsExact(t *testing.T) {
	var last Scalar
	one := Scalar{1}
	last = subtract(order, one)
	scalars := []Scalar{{}, one, last, halfOrder, subtract(order, halfOrder), subtract(halfOrder, one)}
	for bit := range 253 {
		var power Scalar
		power[bit/64] = 1 << (bit % 64)
		scalars = append(scalars, power, subtract(power, one), subtract(order, power))
	}
	random, _ := someScalars(100)
	scalars = append(scalars, random...)
	for width := 4; width <= 24; width++ {
		digits := Cut(scalars, width)
		for i := range scalars {
			var sum, radix fr.Element
			radix.SetUint64(1 << width)
			for w := len(digits.rows) - 1; w >= 0; w-- {
				var digit fr.Element
				if d := digits.rows[w][i]; d>>1 > 1<<(width-1) || d == 1 {
					t.Fatalf("width %d, scalar %v, window %d: digit %d", width, scalars[i], w, d)
				} else if digit.SetUint64(uint64(d >> 1)); d&1 == 1 {
					digit.Neg(&digit)
				}
				sum.Mul(&sum, &radix).Add(&sum, &digit)
			}
			if sum.Bits() != scalars[i] {
				t.Fatalf("width %d: the digits of %v make %v", width, scalars[i], sum.Bits())
			}
		}
	}
}

func TestWeighMatchesReference(t *testing.T) {
	for width := 4; width <= 13; width++ {
		n := 1 << (width - 1)
		points1, points2 := somePoints(n)
		for i := range points1 {
			if i%3 == 1 || n == 8 {
				points1[i], points2[i] = bn254.G1Affine{}, bn254.G2Affine{}
			}
		}
		points1[n-1], points2[n-1] = points1[0], points2[0]
		weights := make([]fr.Element, n)
		for i := range weights {
			weights[i].SetUint64(uint64(i + 1))
		}
		var want1, got1 bn254.G1Affine
		var want2, got2 bn254.G2Affine
		want1.MultiExp(points1, weights, ecc.MultiExpConfig{})
		want2.MultiExp(points2, weights, ecc.MultiExpConfig{})
		for threads := 1; threads <= 3; threads += 2 {
			sum1 := weigh[bn254.G1Affine, bn254.G1Jac, fp.Vector, g1](points1, threads)
			sum2 := weigh[bn254.G2Affine, bn254.G2Jac, pairs, g2](points2, threads)
			if !got1.FromJacobian(&sum1).Equal(&want1) || !got2.FromJacobian(&sum2).Equal(&want2) {
				t.Errorf("%d buckets, %d threads: wrong sum", n, threads)
			}
		}
	}
}
