package bls

import (
	"math/big"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"
	"github.com/consensys/gnark/std/math/emulated"

	"provery/prover/gadget/gadgettest"
	"provery/prover/gadget/poseidon"
)

type canonicalCircuit struct{ X element }

func (c *canonicalCircuit) Define(api frontend.API) error {
	f, err := emulated.NewField[sw_bls12381.BaseField](api)
	if err != nil {
		return err
	}
	_, err = assertCanonical(api, f, &c.X)
	return err
}

// raw returns a coordinate of the given whole number, reduced or not.
func raw(n *big.Int) (e element) {
	mask := new(big.Int).SetUint64(1<<64 - 1)
	for i := range 6 {
		limb := new(big.Int).Rsh(n, uint(64*i))
		if i < 5 {
			limb.And(limb, mask)
		}
		e.Limbs = append(e.Limbs, limb)
	}
	return e
}

func TestCanonical(t *testing.T) {
	system := gadgettest.Compile(t, &canonicalCircuit{})
	p, one := fp.Modulus(), big.NewInt(1)
	lowMax := new(big.Int).Sub(new(big.Int).Lsh(one, 192), one)
	for _, n := range []*big.Int{new(big.Int), one, lowMax, new(big.Int).Sub(p, one), new(big.Int).Rsh(p, 1),
		new(big.Int).Sub(p, new(big.Int).Lsh(one, 200))} {
		gadgettest.Honest(t, system, &canonicalCircuit{raw(n)})
	}
	for _, n := range []*big.Int{p, new(big.Int).Add(p, one), new(big.Int).Add(p, lowMax), new(big.Int).Lsh(one, 381),
		new(big.Int).Sub(new(big.Int).Lsh(one, 381), one), new(big.Int).Sub(new(big.Int).Lsh(one, 384), one)} {
		gadgettest.Forged(t, "coordinate "+n.Text(16), system, &canonicalCircuit{raw(n)})
	}
	wide := raw(one)
	wide.Limbs[0], wide.Limbs[1] = new(big.Int).Add(one, new(big.Int).Lsh(one, 64)), -1
	gadgettest.Forged(t, "limbs beyond their width", system, &canonicalCircuit{wide})
}

func TestCanonicalBorrow(t *testing.T) {
	system := gadgettest.Compile(t, &canonicalCircuit{})
	p := fp.Modulus()
	id := solver.GetHintID(borrowHint)
	for _, n := range []*big.Int{big.NewInt(5), new(big.Int).Sub(p, new(big.Int).Lsh(big.NewInt(1), 200)), p, new(big.Int).Add(p, big.NewInt(7))} {
		for _, answer := range []int64{0, 1, 2, -1} {
			if n.Cmp(p) < 0 {
				var honest [1]*big.Int = [1]*big.Int{new(big.Int)}
				low, _ := modulusParts()
				_ = borrowHint(nil, []*big.Int{low.Sub(low, big.NewInt(1)), new(big.Int).Mod(n, new(big.Int).Lsh(big.NewInt(1), 192))}, honest[:])
				if honest[0].Int64() == answer {
					continue
				}
			}
			lie := func(_ *big.Int, _, outputs []*big.Int) error { outputs[0].SetInt64(answer); return nil }
			gadgettest.Forged(t, "borrow", system, &canonicalCircuit{raw(n)}, solver.OverrideHint(id, lie))
		}
	}
}

// A borrow that is neither 0 nor 1 can satisfy both range checks for a coordinate that is not canonical: for p itself
// −⌊r/2^192⌋ does, r being the modulus of the circuit's field. Only that the borrow is boolean refuses it.
func TestCanonicalBorrowIsBoolean(t *testing.T) {
	system := gadgettest.Compile(t, &canonicalCircuit{})
	first := new(big.Int).Lsh(new(big.Int).Rsh(fr.Modulus(), lowBits), lowBits)
	first.Sub(fr.Modulus(), first).Sub(first, big.NewInt(1)) // what is left for the first range check
	if first.Sign() < 0 || first.BitLen() > lowBits {
		t.Fatal("the forgery does not pass the range checks")
	}
	lie := func(field *big.Int, _, outputs []*big.Int) error {
		outputs[0].Neg(outputs[0].Rsh(field, lowBits)).Mod(outputs[0], field)
		return nil
	}
	option := solver.OverrideHint(solver.GetHintID(borrowHint), lie)
	gadgettest.Forged(t, "p, by a large borrow", system, &canonicalCircuit{raw(fp.Modulus())}, option)
}

type commitCircuit struct {
	Keys       []sw_bls12381.G1Affine
	Commitment frontend.Variable `gnark:",public"`
}

func (c *commitCircuit) Define(api frontend.API) error {
	got, err := Commit(api, c.Keys)
	if err != nil {
		return err
	}
	api.AssertIsEqual(got, c.Commitment)
	return nil
}

// commitmentOf hashes any coordinates, of the curve or not.
func commitmentOf(keys []sw_bls12381.G1Affine, numbers [][2]*big.Int) *commitCircuit {
	var inputs []fr.Element
	for _, key := range numbers {
		for _, coordinate := range key {
			high := new(big.Int).Rsh(coordinate, 192)
			low := new(big.Int).Sub(coordinate, new(big.Int).Lsh(high, 192))
			var a, b fr.Element
			inputs = append(inputs, *a.SetBigInt(low), *b.SetBigInt(high))
		}
	}
	return &commitCircuit{keys, poseidon.Native(committeeTag, poseidon.Native(shardTag, inputs...))}
}

func TestCommit(t *testing.T) {
	const count = ShardKeys + 2
	keys := testKeys(count)
	system := gadgettest.Compile(t, &commitCircuit{Keys: make([]sw_bls12381.G1Affine, count)})
	commitment := Commitment(keys)
	gadgettest.Honest(t, system, &commitCircuit{inCircuit(keys), commitment})
	for _, at := range []int{0, ShardKeys - 1, ShardKeys, count - 1} {
		forged := append([]bls12381.G1Affine{}, keys...)
		forged[at].Neg(&forged[at])
		gadgettest.Forged(t, "a negated key", system, &commitCircuit{inCircuit(forged), commitment})
	}
	swapped := append([]bls12381.G1Affine{}, keys...)
	swapped[0], swapped[count-1] = swapped[count-1], swapped[0]
	gadgettest.Forged(t, "order of keys", system, &commitCircuit{inCircuit(swapped), commitment})
	var other fr.Element
	gadgettest.Forged(t, "commitment", system, &commitCircuit{inCircuit(keys), *other.SetOne()})
	gadgettest.Lies(t, system, &commitCircuit{inCircuit(keys), commitment}, 16)
}

// Points that the commitment's own equation would bind, were the form of a key not checked.
func TestCommitRefusesWhatIsNoKey(t *testing.T) {
	system := gadgettest.Compile(t, &commitCircuit{Keys: make([]sw_bls12381.G1Affine, 1)})
	key := testKeys(1)[0]
	var x, y big.Int
	key.X.BigInt(&x)
	key.Y.BigInt(&y)
	of := func(x, y *big.Int) *commitCircuit {
		return commitmentOf([]sw_bls12381.G1Affine{{X: raw(x), Y: raw(y)}}, [][2]*big.Int{{x, y}})
	}
	gadgettest.Honest(t, system, of(&x, &y))
	gadgettest.Forged(t, "a point off the curve", system, of(&x, new(big.Int).Add(&y, big.NewInt(1))))
	gadgettest.Forged(t, "infinity", system, of(new(big.Int), new(big.Int)))
	gadgettest.Forged(t, "y plus p", system, of(&x, new(big.Int).Add(&y, fp.Modulus())))
	// x = 0, y = 2 is on the curve, and 0 + p fits the limbs' 381 bits
	gadgettest.Honest(t, system, of(new(big.Int), big.NewInt(2)))
	gadgettest.Forged(t, "x plus p", system, of(fp.Modulus(), big.NewInt(2)))
}
