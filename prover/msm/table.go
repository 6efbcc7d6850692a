package msm

import (
	"runtime"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"provery/prover/crew"
)

// Plan says how a table is laid out. A scalar has windowCount(Width) windows; window w uses the multiples of
// level w/Sets and the buckets of set w%Sets.
type Plan struct {
	// Width of a window in bits.
	Width int
	// Levels of multiples held for each point; 1 means the points alone.
	Levels int
	// Sets of buckets, ceil(windows/Levels).
	Sets int
}

// table holds points that scalars will be multiplied with; see G1Table and G2Table.
type table[P, J, V any, C curve[P, J, V]] struct {
	c     C
	plan  Plan
	count int
	// points holds the levels one after another: points[l·count+i] = 2^(Width·Sets·l)·Pᵢ.
	points []P
	// wires maps a point to the index of its scalar.
	wires []uint32
}

// G1Table holds points of G1; make it with NewG1.
type G1Table = table[bn254.G1Affine, bn254.G1Jac, fp.Vector, g1]

// G2Table holds points of G2; make it with NewG2.
type G2Table = table[bn254.G2Affine, bn254.G2Jac, pairs, g2]

// Point is a point and the index of the scalar it takes.
type Point[P any] struct {
	P      P
	Scalar uint32
}

// Points pairs points with scalars: point i takes scalar first+i. Points at infinity add nothing and are left out.
func Points[P interface {
	bn254.G1Affine | bn254.G2Affine
}](points []P, first int) []Point[P] {
	var infinity P
	out := make([]Point[P], 0, len(points))
	for i := range points {
		if points[i] != infinity {
			out = append(out, Point[P]{points[i], uint32(first + i)})
		}
	}
	return out
}

// NewG1 makes a table of points, none at infinity, and computes its levels on threads threads.
func NewG1(points []Point[bn254.G1Affine], plan Plan, threads int) *G1Table {
	return newTable[bn254.G1Affine, bn254.G1Jac, fp.Vector, g1](points, plan, threads)
}

// NewG2 is NewG1 for points of G2.
func NewG2(points []Point[bn254.G2Affine], plan Plan, threads int) *G2Table {
	return newTable[bn254.G2Affine, bn254.G2Jac, pairs, g2](points, plan, threads)
}

func newTable[P, J, V any, C curve[P, J, V]](points []Point[P], plan Plan, threads int) *table[P, J, V, C] {
	t := &table[P, J, V, C]{plan: plan, count: len(points)}
	t.points = make([]P, t.count*plan.Levels)
	t.wires = make([]uint32, t.count)
	for i := range points {
		t.points[i], t.wires[i] = points[i].P, points[i].Scalar
	}
	t.extend(1, threads)
	return t
}

// Replan makes a table of the same points with another plan; t stays valid.
func (t *table[P, J, V, C]) Replan(plan Plan, threads int) *table[P, J, V, C] {
	other := &table[P, J, V, C]{plan: plan, count: t.count, wires: t.wires}
	other.points = make([]P, t.count*plan.Levels)
	copy(other.points, t.points[:t.count])
	other.extend(1, threads)
	return other
}

// Bytes is the memory the table's points and wire numbers take.
func (t *table[P, J, V, C]) Bytes() int64 {
	return int64(len(t.points))*t.pointBytes() + int64(len(t.wires))*4
}

func (t *table[P, J, V, C]) pointBytes() int64 {
	var p P
	if _, ok := any(p).(bn254.G1Affine); ok {
		return 64
	}
	return 128
}

// Width is that of the windows, in bits: what digits must be cut to.
func (t *table[P, J, V, C]) Width() int { return t.plan.Width }

// Count is the number of points held, those at infinity left out.
func (t *table[P, J, V, C]) Count() int { return t.count }

// extend fills the levels from first on.
func (t *table[P, J, V, C]) extend(first, threads int) {
	if t.plan.Levels <= first || t.count == 0 {
		return
	}
	const part = 1024
	doublings := t.plan.Width * t.plan.Sets
	each(threads, (t.count+part-1)/part, func() (func(int), func()) {
		r := borrowReducer[P, J, V, C]()
		b := r.batch
		return func(k int) {
			lo, hi := k*part, min((k+1)*part, t.count)
			for l := first; l < t.plan.Levels; l++ {
				level := t.points[l*t.count+lo : l*t.count+hi]
				copy(level, t.points[(l-1)*t.count+lo:(l-1)*t.count+hi])
				b.doubleAll(level, part, doublings)
			}
		}, r.release
	})
}

// each runs work items 0 to count−1 on up to threads goroutines; start makes one goroutine's work and, to be
// called at its end, what gives its state back.
func each(threads, count int, start func() (work func(int), stop func())) {
	threads = min(threads, count)
	if threads <= 1 {
		work, stop := start()
		for i := range count {
			work(i)
		}
		stop()
		return
	}
	var next atomic.Int64
	var all crew.Crew
	for range threads {
		all.Go(func() {
			work, stop := start()
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				work(i)
			}
			stop()
		})
	}
	all.Wait()
}

// Threads is the default number of threads.
func Threads() int { return runtime.GOMAXPROCS(0) }
