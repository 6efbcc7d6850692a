package zkey

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"provery/prover/binfile"
	"provery/prover/crew"
	"provery/prover/fault"
	"provery/prover/msm"
)

// reader takes little-endian numbers off a slice whose length the caller has checked.
type reader struct{ data []byte }

func (r *reader) take(n int) []byte {
	out := r.data[:n]
	r.data = r.data[n:]
	return out
}

func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

func (r *reader) number() [4]uint64 { return loadLimbs(r.take(32)) }

func loadLimbs(b []byte) (n [4]uint64) {
	_ = b[31]
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return
}

func limbs[W ~uint](words []W) (n [4]uint64) {
	for i, w := range words {
		n[i] = uint64(w)
	}
	return
}

var baseOrder = limbs(fp.Modulus().Bits())

// twistB is the constant of G2's curve y² = x³ + 3/(9+u).
var twistB = func() (b bn254.E2) {
	var xi bn254.E2
	xi.A0.SetUint64(9)
	xi.A1.SetUint64(1)
	b.A0.SetUint64(3)
	xi.Inverse(&xi)
	b.Mul(&b, &xi)
	return
}()

func belowBaseOrder(n [4]uint64) bool {
	var borrow uint64
	for i := range n {
		_, borrow = bits.Sub64(n[i], baseOrder[i], borrow)
	}
	return borrow == 1
}

// decodeG1 reads an affine point in Montgomery form and reports whether both coordinates are below p, and
// whether the point is infinity or on the curve besides.
func decodeG1(b []byte, p *bn254.G1Affine) (canonical, onCurve bool) {
	x, y := loadLimbs(b), loadLimbs(b[32:])
	if !belowBaseOrder(x) || !belowBaseOrder(y) {
		return false, false
	}
	p.X, p.Y = fp.Element(x), fp.Element(y)
	if p.IsInfinity() {
		return true, true
	}
	var left, right, three fp.Element
	three.SetUint64(3)
	left.Square(&p.Y)
	right.Square(&p.X).Mul(&right, &p.X).Add(&right, &three)
	return true, left.Equal(&right)
}

// decodeG2 is decodeG1 for G2, the subgroup not being checked.
func decodeG2(b []byte, p *bn254.G2Affine) (canonical, onCurve bool) {
	for i, target := range []*fp.Element{&p.X.A0, &p.X.A1, &p.Y.A0, &p.Y.A1} {
		n := loadLimbs(b[32*i:])
		if !belowBaseOrder(n) {
			return false, false
		}
		*target = fp.Element(n)
	}
	if p.IsInfinity() {
		return true, true
	}
	var left, right bn254.E2
	left.Square(&p.Y)
	right.Square(&p.X)
	right.Mul(&right, &p.X)
	right.Add(&right, &twistB)
	return true, left.Equal(&right)
}

// readPoints reads and checks sections 3 and 5 to 9.
func (k *Key) readPoints(file *binfile.File) error {
	for _, s := range []struct {
		id    uint32
		name  string
		count int
		to    *[]bn254.G1Affine
	}{
		{icSection, "IC", k.NPublic + 1, &k.IC},
		{aSection, "A", k.NVars, &k.A},
		{b1Section, "B1", k.NVars, &k.B1},
		{cSection, "C", k.NVars - k.NPublic - 1, &k.C},
		{hSection, "H", k.DomainSize, &k.H},
	} {
		data, err := file.Sized(s.id, s.name+" points", uint64(s.count)*g1Bytes)
		if err != nil {
			return err
		}
		points := make([]bn254.G1Affine, s.count)
		bad := firstBad(s.count, func(i int) bool {
			_, ok := decodeG1(data[i*g1Bytes:], &points[i])
			return ok
		})
		if bad >= 0 {
			return fault.New(fault.InvalidKey, "point %d of section %d (%s) is not on G1's curve", bad, s.id, s.name)
		}
		*s.to = points
	}
	data, err := file.Sized(b2Section, "B2 points", uint64(k.NVars)*g2Bytes)
	if err != nil {
		return err
	}
	k.B2 = make([]bn254.G2Affine, k.NVars)
	bad := firstBad(k.NVars, func(i int) bool {
		_, ok := decodeG2(data[i*g2Bytes:], &k.B2[i])
		return ok
	})
	if bad >= 0 {
		return fault.New(fault.InvalidKey, "point %d of section 7 (B2) is not on G2's curve", bad)
	}
	return checkSubgroup(k.B2)
}

// firstBad runs check for 0 to count−1 in parallel and returns some index for which it fails, or −1.
func firstBad(count int, check func(int) bool) int {
	var bad, next atomic.Int64
	bad.Store(-1)
	const part = 2048
	var all crew.Crew
	for range min(runtime.GOMAXPROCS(0), count/part+1) {
		all.Go(func() {
			for lo := int(next.Add(part)) - part; lo < count; lo = int(next.Add(part)) - part {
				for i := lo; i < min(lo+part, count); i++ {
					if !check(i) {
						bad.Store(int64(i))
						return
					}
				}
			}
		})
	}
	all.Wait()
	return int(bad.Load())
}

// subgroupRounds random combinations are tested. The cofactor's least prime factor is 10069, so that a point
// outside the subgroup survives one round with a chance below 7/65536, and all with one below 2^−79.
const subgroupRounds = 6

// checkSubgroup tells whether all points lie in the subgroup of order r, by testing random combinations of
// them with 16-bit coefficients: one test costs half a millisecond, testing 70,000 points one by one seconds.
func checkSubgroup(points []bn254.G2Affine) error {
	const single = 32
	if len(points) <= single {
		for i := range points {
			if !points[i].IsInSubGroup() {
				return fault.New(fault.InvalidKey, "point %d of section 7 (B2) is outside the subgroup of order r", i)
			}
		}
		return nil
	}
	table := msm.NewG2(msm.Points(points, 0), msm.Plan{Width: 9, Levels: 1, Sets: 29}, msm.Threads())
	random := make([]byte, 2*len(points))
	scalars := make([]msm.Scalar, len(points))
	for range subgroupRounds {
		if _, err := rand.Read(random); err != nil {
			return err
		}
		for i := range scalars {
			scalars[i] = msm.Scalar{uint64(binary.LittleEndian.Uint16(random[2*i:]))}
		}
		sum := table.Sum(msm.Cut(scalars, 9), msm.Threads())
		var point bn254.G2Affine
		if point.FromJacobian(&sum); !point.IsInSubGroup() {
			return fault.New(fault.InvalidKey, "section 7 (B2) has a point outside the subgroup of order r")
		}
	}
	return nil
}
