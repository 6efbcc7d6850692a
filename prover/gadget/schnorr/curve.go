package schnorr

import (
	"crypto/sha256"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Point is an affine point of the Edwards curve x² + y² = 1 + d·x²·y² over BN254's scalar field, d = 168696/168700.
// The curve has 8 times a prime number of points; (0, 1) is the neutral one.
type Point struct{ X, Y fr.Element }

// Order is that of the subgroup, a prime of 251 bits.
var Order, _ = new(big.Int).SetString("2736030358979909402780800718157159386076813972158567259200215660948447373041", 10)

// Base generates the subgroup.
var Base = Point{
	element("19698561148652590122159747500897617769866003486955115824547446575314762165298"),
	element("19298250018296453272277890825869354524455968081175474282777126169995084727839"),
}

// The Montgomery form is v² = u³ + A·u² + u, reached by u = (1 + y)/(1 − y) and v = scale·u/x, scale² = 168700.
const montgomeryA = 168698

var (
	edwardsD = quotient(168696, 168700)
	scale    = root(168700)
	// offset is a point of the subgroup whose logarithm nobody knows.
	offset = hashed("provery schnorr offset")
)

func element(text string) (x fr.Element) {
	if _, err := x.SetString(text); err != nil {
		panic(err)
	}
	return x
}

func quotient(a, b uint64) (x fr.Element) {
	var divisor fr.Element
	x.SetUint64(a)
	divisor.SetUint64(b)
	x.Div(&x, &divisor)
	return x
}

func root(a uint64) (x fr.Element) {
	x.SetUint64(a)
	x.Sqrt(&x)
	if x.LexicographicallyLargest() {
		x.Neg(&x)
	}
	return x
}

// hashed returns eight times the first point whose y is a hash of name and a counter.
func hashed(name string) Point {
	for counter := byte(0); ; counter++ {
		digest := sha256.Sum256(append([]byte(name), counter))
		var p Point
		p.Y.SetBytes(digest[:])
		// x² = (1 − y²)/(1 − d·y²)
		var square, divisor fr.Element
		one := fr.One()
		square.Square(&p.Y)
		divisor.Mul(&square, &edwardsD).Sub(&one, &divisor)
		square.Sub(&one, &square).Div(&square, &divisor)
		if p.X.Sqrt(&square) == nil {
			continue
		}
		if p.X.LexicographicallyLargest() {
			p.X.Neg(&p.X)
		}
		if p = p.Multiply(big.NewInt(8)); p != Neutral() {
			return p
		}
	}
}

// Neutral returns the neutral point (0, 1), which pads tables of keys.
func Neutral() Point { return Point{Y: fr.One()} }

// IsOnCurve tells whether p is a point of the curve.
func (p Point) IsOnCurve() bool {
	var xx, yy, left, right fr.Element
	xx.Square(&p.X)
	yy.Square(&p.Y)
	one := fr.One()
	left.Add(&xx, &yy)
	right.Mul(&xx, &yy).Mul(&right, &edwardsD).Add(&right, &one)
	return left == right
}

// IsSmall tells whether the order of a point of the curve divides 8.
func (p Point) IsSmall() bool { return p.Multiply(big.NewInt(8)) == Neutral() }

// Negate returns −p.
func (p Point) Negate() Point {
	p.X.Neg(&p.X)
	return p
}

// Add returns p + q.
func (p Point) Add(q Point) Point { return p.projective().add(q.projective()).affine() }

// Multiply returns k·p, k not negative.
func (p Point) Multiply(k *big.Int) Point {
	return combine(k, p, new(big.Int), Neutral())
}

// combine returns k·p + m·q by one chain of doublings.
func combine(k *big.Int, p Point, m *big.Int, q Point) Point {
	table := [4]projective{1: p.projective(), 2: q.projective()}
	table[3] = table[1].add(table[2])
	sum := Neutral().projective()
	for i := max(k.BitLen(), m.BitLen()) - 1; i >= 0; i-- {
		sum = sum.double()
		if at := k.Bit(i) | m.Bit(i)<<1; at != 0 {
			sum = sum.add(table[at])
		}
	}
	return sum.affine()
}

// montgomery returns p's coordinates u and v; p is neither (0, 1) nor (0, −1).
func (p Point) montgomery() (u, v fr.Element) {
	one := fr.One()
	var divisor fr.Element
	u.Add(&one, &p.Y)
	u.Div(&u, divisor.Sub(&one, &p.Y))
	v.Mul(&u, &scale).Div(&v, &p.X)
	return u, v
}

// projective is the point (x/z, y/z).
type projective struct{ x, y, z fr.Element }

func (p Point) projective() projective { return projective{p.X, p.Y, fr.One()} }

func (p projective) affine() Point {
	var inverse fr.Element
	inverse.Inverse(&p.z) // never zero: the curve's addition is complete
	p.x.Mul(&p.x, &inverse)
	p.y.Mul(&p.y, &inverse)
	return Point{p.x, p.y}
}

func (p projective) add(q projective) (sum projective) {
	var a, b, c, d, e, f, g, h fr.Element
	a.Mul(&p.z, &q.z)
	b.Square(&a)
	c.Mul(&p.x, &q.x)
	d.Mul(&p.y, &q.y)
	e.Mul(&c, &d).Mul(&e, &edwardsD)
	f.Sub(&b, &e)
	g.Add(&b, &e)
	h.Add(&p.x, &p.y)
	sum.x.Add(&q.x, &q.y).Mul(&sum.x, &h).Sub(&sum.x, &c).Sub(&sum.x, &d).Mul(&sum.x, &a).Mul(&sum.x, &f)
	sum.y.Sub(&d, &c).Mul(&sum.y, &a).Mul(&sum.y, &g)
	sum.z.Mul(&f, &g)
	return sum
}

func (p projective) double() (sum projective) {
	var b, c, d, f, j fr.Element
	b.Add(&p.x, &p.y).Square(&b)
	c.Square(&p.x)
	d.Square(&p.y)
	f.Add(&c, &d)
	j.Square(&p.z).Double(&j).Sub(&f, &j)
	sum.x.Sub(&b, &f).Mul(&sum.x, &j)
	sum.y.Sub(&c, &d).Mul(&sum.y, &f)
	sum.z.Mul(&f, &j)
	return sum
}
