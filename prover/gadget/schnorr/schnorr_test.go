package schnorr

import (
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	stdbits "github.com/consensys/gnark/std/math/bits"

	"provery/prover/gadget/gadgettest"
	"provery/prover/gadget/rescue"
)

type verifyCircuit struct {
	Key       PointVariable
	Signature SignatureVariable
	Message   [2]frontend.Variable
}

func (c *verifyCircuit) Define(api frontend.API) error {
	return Verify(api, rescue.New(api), c.Key, c.Signature, c.Message[:])
}

func compiled(t *testing.T) constraint.ConstraintSystem {
	t.Helper()
	return gadgettest.Compile(t, &verifyCircuit{})
}

var message = []fr.Element{fr.NewElement(7), fr.NewElement(1 << 60)}

func with(key Point, s *Signature) *verifyCircuit {
	return &verifyCircuit{key.Assign(), s.Assign(), [2]frontend.Variable{message[0], message[1]}}
}

// secret returns numbers that look random.
func secret(i uint64) *big.Int {
	return number(rescue.Native(fr.NewElement(i)))
}

func keyOf(i uint64) Point { return Base.Multiply(secret(i)) }

func TestSignatures(t *testing.T) {
	system := compiled(t)
	var odd, even bool
	for i := range uint64(12) {
		key := keyOf(i)
		s := Sign(secret(i), secret(100+i), message)
		if Challenge(key, s.R, message).Bit(0) == 0 {
			even = true
		} else {
			odd = true
		}
		if !s.Valid(key, message) {
			t.Fatal("a signature is not valid")
		}
		gadgettest.Honest(t, system, with(key, s))
	}
	if !odd || !even {
		t.Error("the challenges have one parity")
	}
	// known to all: secret and nonce are one
	gadgettest.Honest(t, system, with(Base, Sign(big.NewInt(1), big.NewInt(1), message)))
}

func TestChangesAreRefused(t *testing.T) {
	system := compiled(t)
	key, s := keyOf(1), Sign(secret(1), secret(2), message)
	for name, spoil := range map[string]func(*verifyCircuit){
		"s":              func(c *verifyCircuit) { c.Signature.S = new(big.Int).Add(s.S, big.NewInt(1)) },
		"negated s":      func(c *verifyCircuit) { c.Signature.S = new(big.Int).Sub(Order, s.S) },
		"zero s":         func(c *verifyCircuit) { c.Signature.S = 0 },
		"x of R":         func(c *verifyCircuit) { c.Signature.R.X = 5 },
		"y of R":         func(c *verifyCircuit) { c.Signature.R.Y = 5 },
		"negated R":      func(c *verifyCircuit) { c.Signature.R = s.R.Negate().Assign() },
		"R is neutral":   func(c *verifyCircuit) { c.Signature.R = Neutral().Assign() },
		"another key":    func(c *verifyCircuit) { c.Key = keyOf(2).Assign() },
		"negated key":    func(c *verifyCircuit) { c.Key = key.Negate().Assign() },
		"key is neutral": func(c *verifyCircuit) { c.Key = Neutral().Assign() },
		"message":        func(c *verifyCircuit) { c.Message[0] = 8 },
		"end of message": func(c *verifyCircuit) { c.Message[1] = 1 },
	} {
		c := with(key, s)
		spoil(c)
		gadgettest.Forged(t, name, system, c)
	}
	if s.Valid(key, message[:1]) || s.Valid(keyOf(2), message) {
		t.Error("valid for another message or key")
	}
}

func TestHintsAreBound(t *testing.T) {
	gadgettest.Lies(t, compiled(t), with(keyOf(1), Sign(secret(1), secret(2), message)), 24)
}

// small returns the points whose order divides 8.
func small(t *testing.T) (out []Point) {
	t.Helper()
	for i := uint64(1); len(out) < 8; i++ {
		// any point of the curve times the subgroup's order
		var p Point
		var square, divisor fr.Element
		one := fr.One()
		p.Y.SetUint64(i)
		square.Square(&p.Y)
		divisor.Mul(&square, &edwardsD).Sub(&one, &divisor)
		if p.X.Sqrt(square.Sub(&one, &square).Div(&square, &divisor)) == nil {
			continue
		}
		generator := p.Multiply(Order)
		if generator.Multiply(big.NewInt(4)) == Neutral() {
			continue
		}
		for k := range int64(8) {
			out = append(out, generator.Multiply(big.NewInt(k)))
		}
	}
	return out
}

// Under a key of small order anybody can sign: S·G = R + c·Key needs no secret where c·Key is known.
func TestKeysOfSmallOrder(t *testing.T) {
	system := compiled(t)
	for _, key := range small(t) {
		if !key.IsOnCurve() || !key.IsSmall() {
			t.Fatal("no point of small order")
		}
		for nonce := int64(1); ; nonce++ {
			// R such that the equation holds: the challenge's last bits are guessed
			r := Base.Multiply(big.NewInt(nonce)).Add(key.Negate())
			if new(big.Int).And(Challenge(key, r, message), big.NewInt(7)).Int64() != 1 {
				continue
			}
			forged := &Signature{big.NewInt(nonce), r}
			if combine(forged.S, Base, Challenge(key, r, message), key.Negate()) != r {
				t.Fatal("the forgery does not fulfil the equation")
			}
			if forged.Valid(key, message) {
				t.Error("valid under a key of small order")
			}
			gadgettest.Forged(t, "key of small order", system, with(key, forged))
			break
		}
	}
}

// A key with a part of small order is a key: the equation holds in the whole group, as the native check has it.
func TestKeyOutsideTheSubgroup(t *testing.T) {
	system := compiled(t)
	order8 := small(t)[1]
	key := keyOf(1).Add(order8)
	for nonce := uint64(1); ; nonce++ {
		r := Base.Multiply(secret(nonce))
		c := Challenge(key, r, message)
		s := &Signature{c.Mul(c, secret(1)), r}
		s.S.Add(s.S, secret(nonce)).Mod(s.S, Order)
		c = Challenge(key, r, message)
		multiple := c.Bit(0) == 0 && c.Bit(1) == 0 && c.Bit(2) == 0
		if s.Valid(key, message) != multiple {
			t.Fatal("valid where the part of small order does not vanish")
		}
		if multiple {
			gadgettest.Honest(t, system, with(key, s))
			return
		}
		gadgettest.Forged(t, "a part of small order", system, with(key, s))
	}
}

func TestKeyOffTheCurve(t *testing.T) {
	system := compiled(t)
	s := Sign(secret(1), secret(2), message)
	for _, key := range []Point{{}, {X: fr.NewElement(3), Y: fr.NewElement(4)}, {Y: fr.NewElement(2)}} {
		if s.Valid(key, message) {
			t.Error("valid under a key off the curve")
		}
		gadgettest.Forged(t, "key off the curve", system, with(key, s))
	}
}

// S plus the order is the same multiple: no second statement, but one signature has one form outside the circuit.
func TestLargeS(t *testing.T) {
	key, s := keyOf(1), Sign(secret(1), secret(2), message)
	s.S.Add(s.S, Order)
	gadgettest.Honest(t, compiled(t), with(key, s))
	if s.Valid(key, message) {
		t.Error("S above the order is valid")
	}
}

// A hash below 2^254 minus the modulus has two representations of 254 bits, and so would a message two challenges.
func TestChallengeIsCanonical(t *testing.T) {
	system := compiled(t)
	key := keyOf(1)
	modulus := fr.Modulus()
	for nonce := uint64(1); ; nonce++ {
		r := Base.Multiply(secret(nonce))
		hash := rescue.Native(append([]fr.Element{*domain, key.X, key.Y, r.X, r.Y}, message...)...)
		other := new(big.Int).Add(number(hash), modulus)
		if other.BitLen() > modulus.BitLen() {
			continue
		}
		c := new(big.Int).And(other, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), challengeBits), big.NewInt(1)))
		s := c.Mul(c, secret(1)).Add(c, secret(nonce)).Mod(c, Order)
		lie := override(t, func(_, input *big.Int, outputs []*big.Int) {
			if input.Cmp(number(hash)) == 0 {
				for i := range outputs {
					outputs[i].SetUint64(uint64(other.Bit(i)))
				}
			}
		})
		gadgettest.Forged(t, "the challenge plus the modulus", system, with(key, &Signature{s, r}), lie)
		return
	}
}

// override has the library's decompositions into bits answered by change.
func override(t *testing.T, change func(field, input *big.Int, outputs []*big.Int)) solver.Option {
	t.Helper()
	for _, hint := range stdbits.GetHints() {
		if strings.HasSuffix(solver.GetHintName(hint), ".nBits") {
			return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
				err := hint(field, inputs, outputs)
				change(field, inputs[0], outputs)
				return err
			})
		}
	}
	t.Fatal("the library has no such hint")
	return nil
}

type atMostCircuit struct {
	Bits  []frontend.Variable
	bound int64
}

func (c *atMostCircuit) Define(api frontend.API) error {
	for _, bit := range c.Bits {
		api.AssertIsBoolean(bit)
	}
	assertAtMost(api, c.Bits, big.NewInt(c.bound))
	return nil
}

func TestAtMost(t *testing.T) {
	const digits = 6
	for bound := range int64(1 << digits) {
		system := gadgettest.Compile(t, &atMostCircuit{make([]frontend.Variable, digits), bound})
		for value := range int64(1 << digits) {
			c := &atMostCircuit{Bits: make([]frontend.Variable, digits)}
			for i := range c.Bits {
				c.Bits[i] = value >> i & 1
			}
			if err := gadgettest.Solve(t, system, c); (err == nil) != (value <= bound) {
				t.Errorf("%d at most %d: %v", value, bound, err)
			}
		}
	}
}

func TestCurve(t *testing.T) {
	if !Base.IsOnCurve() || !offset.IsOnCurve() || Base.Multiply(Order) != Neutral() || offset.Multiply(Order) != Neutral() {
		t.Error("base point or offset is not in the subgroup")
	}
	if edwardsD != element("9706598848417545097372247223557719406784115219466060233080913168975159366771") {
		t.Errorf("d is %s", edwardsD.String())
	}
	p, q := keyOf(1), keyOf(2)
	sum := Base.Multiply(new(big.Int).Add(secret(1), secret(2)))
	if p.Add(q) != sum || p.Add(p) != Base.Multiply(new(big.Int).Lsh(secret(1), 1)) || p.Add(p.Negate()) != Neutral() || p.Add(Neutral()) != p {
		t.Error("the group's law does not hold")
	}
	u, v := p.montgomery()
	var left, right, a fr.Element
	a.SetUint64(montgomeryA)
	left.Square(&v)
	one := fr.One()
	right.Add(&u, &a).Mul(&right, &u).Add(&right, &one).Mul(&right, &u)
	if left != right {
		t.Error("a point is not on the Montgomery form")
	}
}
