package schnorr

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/gadgettest"
	"provery/prover/gadget/rescue"
)

// The circuits of this file state nothing of what a part computes: what a prover answers can fail there only where the
// part itself binds it, not because the signature's equation no longer holds.

func coordinates(p Point) point {
	u, v := p.montgomery()
	return point{u, v}
}

type additions struct{ PU, PV, QU, QV frontend.Variable }

func (c *additions) Define(api frontend.API) error {
	p, q := point{c.PU, c.PV}, point{c.QU, c.QV}
	if _, err := add(api, p, q); err != nil {
		return err
	}
	_, err := doubleAdd(api, p, q)
	return err
}

func TestSumsAreBound(t *testing.T) {
	system := gadgettest.Compile(t, &additions{})
	p, q := coordinates(keyOf(1)), coordinates(keyOf(2))
	gadgettest.Lies(t, system, &additions{p.u, p.v, q.u, q.v}, 4)
	// another point of the same line
	gadgettest.Forged(t, "u, and the v that fits", system, &additions{p.u, p.v, q.u, q.v},
		solver.OverrideHint(solver.GetHintID(chordHint), func(_ *big.Int, inputs, outputs []*big.Int) error {
			in := elements(inputs)
			x := fr.NewElement(5)
			x.BigInt(outputs[0])
			along(&in[0], &in[1], &in[2], &x).BigInt(outputs[1])
			return nil
		}))
	gadgettest.Forged(t, "P + (−P)", system, &additions{p.u, p.v, p.u, negated(p.v)})
}

func negated(v frontend.Variable) fr.Element {
	x := v.(fr.Element)
	return *x.Neg(&x)
}

type expected struct {
	additions
	Sum, Twice PointVariable
}

func (c *expected) Define(api frontend.API) error {
	p, q := point{c.PU, c.PV}, point{c.QU, c.QV}
	sum, err := add(api, p, q)
	if err != nil {
		return err
	}
	assertEqual(api, c.Sum, sum)
	if sum, err = doubleAdd(api, p, q); err != nil {
		return err
	}
	assertEqual(api, c.Twice, sum)
	return nil
}

func TestSumsAreRight(t *testing.T) {
	system := gadgettest.Compile(t, &expected{})
	p, q := keyOf(1), keyOf(2)
	mp, mq := coordinates(p), coordinates(q)
	inputs := additions{mp.u, mp.v, mq.u, mq.v}
	sum, twice := p.Add(q), p.Add(p).Add(q)
	gadgettest.Honest(t, system, &expected{inputs, sum.Assign(), twice.Assign()})
	five := fr.NewElement(5)
	for name, c := range map[string]*expected{
		"x":       {inputs, PointVariable{five, sum.Y}, twice.Assign()},
		"y":       {inputs, PointVariable{sum.X, five}, twice.Assign()},
		"x twice": {inputs, sum.Assign(), PointVariable{five, twice.Y}},
		"y twice": {inputs, sum.Assign(), PointVariable{twice.X, five}},
		"negated": {inputs, sum.Negate().Assign(), twice.Assign()},
	} {
		gadgettest.Forged(t, name, system, c)
	}
}

// The point of order two has u = v = 0, where u/v says nothing of x.
func TestSumOfOrderTwo(t *testing.T) {
	system := gadgettest.Compile(t, &expected{})
	minus := fr.One()
	minus.Neg(&minus)
	two := Point{Y: minus}
	p := keyOf(1)
	q := two.Add(p.Negate())
	mp, mq := coordinates(p), coordinates(q)
	inputs := additions{mp.u, mp.v, mq.u, mq.v}
	gadgettest.Honest(t, system, &expected{inputs, two.Assign(), p.Add(two).Assign()})
	gadgettest.Forged(t, "any x", system, &expected{inputs, PointVariable{7, minus}, p.Add(two).Assign()})
}

type ladderCircuit struct {
	Key  PointVariable
	Bits [challengeBits]frontend.Variable
}

func (c *ladderCircuit) Define(api frontend.API) error {
	for _, bit := range c.Bits {
		api.AssertIsBoolean(bit)
	}
	_, err := subtractMultiple(api, c.Bits[:], point{c.Key.X, c.Key.Y})
	return err
}

func TestLadderIsBound(t *testing.T) {
	key := coordinates(keyOf(1))
	c := &ladderCircuit{Key: PointVariable{key.u, key.v}}
	for i := range c.Bits {
		c.Bits[i] = secret(3).Bit(i)
	}
	gadgettest.Lies(t, gadgettest.Compile(t, &ladderCircuit{}), c, 16)
}

type baseCircuit struct{ U, V, S frontend.Variable }

func (c *baseCircuit) Define(api frontend.API) error {
	_, err := addBase(api, point{c.U, c.V}, c.S)
	return err
}

// Digits of S that are no digits would be multiples of the base point that nobody has.
func TestWindowsAreMultiples(t *testing.T) {
	system := gadgettest.Compile(t, &baseCircuit{})
	start := coordinates(keyOf(1).Add(offset))
	// odd, so that the highest digit is one already, and one more is no bit
	c := &baseCircuit{start.u, start.v, 12345}
	gadgettest.Honest(t, system, c)
	gadgettest.Lies(t, system, c, 16)
	lie := func(change func([]*big.Int)) solver.Option {
		return solver.OverrideHint(solver.GetHintID(windowsHint), func(field *big.Int, inputs, outputs []*big.Int) error {
			err := windowsHint(field, inputs, outputs)
			change(outputs)
			return err
		})
	}
	// another multiple is another S, and no forgery here
	if err := gadgettest.Solve(t, system, c, lie(func(out []*big.Int) { out[5].Neg(out[5]) })); err != nil {
		t.Errorf("another sign: %v", err)
	}
	gadgettest.Forged(t, "v of another multiple", system, c, lie(func(out []*big.Int) { out[2].Set(out[5]) }))
	gadgettest.Forged(t, "last window, no low bit", system, c, lie(func(out []*big.Int) { out[3*windows].SetInt64(2) }))
	gadgettest.Forged(t, "last window, no high bit", system, c, lie(func(out []*big.Int) { out[3*windows+1].SetInt64(-1) }))
	// digits for which the interpolated square is one
	for at := range 2 {
		found := 0
		for digit := int64(2); found < 3; digit++ {
			bits := [2]int64{1, 1}
			bits[at] = digit
			v, ok := interpolated(bits)
			if !ok {
				continue
			}
			found++
			gadgettest.Forged(t, "no bit", system, c, lie(func(out []*big.Int) {
				out[0].SetInt64(bits[0])
				out[1].SetInt64(bits[1])
				v.BigInt(out[2])
			}))
		}
	}
}

// interpolated returns a v that fits the first window's squares at digits that are no bits, if there is one.
func interpolated(digits [2]int64) (v fr.Element, ok bool) {
	var squares [4]fr.Element
	for j, multiple := range table()[0] {
		_, squares[j] = multiple.montgomery()
		squares[j].Square(&squares[j])
	}
	var low, high, both, term, sum fr.Element
	low.SetInt64(digits[0])
	high.SetInt64(digits[1])
	both.Mul(&low, &high)
	sum = squares[0]
	sum.Add(&sum, term.Sub(&squares[1], &squares[0]).Mul(&term, &low))
	sum.Add(&sum, term.Sub(&squares[2], &squares[0]).Mul(&term, &high))
	term.Sub(&squares[3], &squares[2]).Sub(&term, &squares[1]).Add(&term, &squares[0])
	sum.Add(&sum, term.Mul(&term, &both))
	return v, v.Sqrt(&sum) != nil
}

type properCircuit struct{ Key PointVariable }

func (c *properCircuit) Define(api frontend.API) error {
	assertProper(api, c.Key)
	return nil
}

func TestProperKeys(t *testing.T) {
	system := gadgettest.Compile(t, &properCircuit{})
	eighth := small(t)
	for i := range uint64(4) {
		gadgettest.Honest(t, system, &properCircuit{keyOf(i).Assign()})
		gadgettest.Honest(t, system, &properCircuit{keyOf(i).Add(eighth[1+i]).Assign()})
		gadgettest.Forged(t, "off the curve", system, &properCircuit{PointVariable{keyOf(i).X, keyOf(i + 1).Y}})
	}
	for _, key := range eighth {
		gadgettest.Forged(t, "small order", system, &properCircuit{key.Assign()})
	}
	gadgettest.Forged(t, "no point", system, &properCircuit{PointVariable{3, 4}})
}

// Who knows a secret could choose R's coordinates, were they not bound, and have a proof of what is no signature.
func TestRIsBound(t *testing.T) {
	system := compiled(t)
	key, r := keyOf(1), keyOf(2)
	for name, other := range map[string]Point{"x": {fr.NewElement(5), r.Y}, "y": {r.X, fr.NewElement(5)}, "x negated": r.Negate()} {
		s := Challenge(key, other, message)
		s.Mul(s, secret(1)).Add(s, secret(2)).Mod(s, Order)
		gadgettest.Forged(t, name+" of R", system, with(key, &Signature{s, other}))
	}
}

type challengeCircuit struct{ In frontend.Variable }

func (c *challengeCircuit) Define(api frontend.API) error {
	hash, err := rescue.New(api).Sum(c.In)
	if err != nil {
		return err
	}
	canonicalBits(api, hash)
	return nil
}

func TestBitsAreBound(t *testing.T) {
	system := gadgettest.Compile(t, &challengeCircuit{})
	gadgettest.Lies(t, system, &challengeCircuit{5}, 8)
	for _, digit := range []int{0, 100, 252} {
		gadgettest.Forged(t, "digits that are no bits", system, &challengeCircuit{5}, gadgettest.NoBits(t, 0, digit))
	}
}
