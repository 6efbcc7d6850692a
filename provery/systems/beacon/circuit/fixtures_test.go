package circuit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"
	"os"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"

	"provery/prover/fault"
	"provery/prover/gadget/bls"
)

// recorded returns the update of testdata.
func recorded(t testing.TB) *Update {
	t.Helper()
	text, err := os.ReadFile("testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func secret(i int) *big.Int {
	digest := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("committee"), uint64(i)))
	return new(big.Int).SetBytes(digest[:31])
}

// invented returns a valid update of a committee whose secrets are known; those in absent have not signed.
func invented(t testing.TB, shape Shape, absent ...int) *Update {
	t.Helper()
	u := &Update{Preset: shape.Preset, Slot: 5<<shape.Preset.PeriodBits + 3, Proposer: 1<<40 + 9, NextKeysRoot: Root{1}, AggregateNode: Root{2},
		ParentRoot: Root{3}, BodyNode: Root{4}, Domain: Root{7, 0, 0, 0, 5}}
	for level := range shape.Depth {
		u.Branch = append(u.Branch, Root{6, byte(level)})
	}
	_, _, generator, _ := bls12381.Generators()
	for i := range shape.Preset.Committee {
		var key bls12381.G1Affine
		key.ScalarMultiplication(&generator, secret(i))
		u.Keys, u.Participation = append(u.Keys, key.Bytes()), append(u.Participation, true)
	}
	for _, i := range absent {
		u.Participation[i] = false
	}
	sign(t, u)
	return u
}

// sign signs an invented update's header by those that participate.
func sign(t testing.TB, u *Update) {
	t.Helper()
	o := &opened{Update: u}
	if err := o.checkBranches(); err != nil {
		t.Fatal(err)
	}
	root := pair(o.headerRoot, u.Domain)
	message, err := bls12381.HashToG2(root[:], []byte(bls.SignatureDST))
	if err != nil {
		t.Fatal(err)
	}
	total := new(big.Int)
	for i, signed := range u.Participation {
		if signed {
			total.Add(total, secret(i))
		}
	}
	var signature bls12381.G2Affine
	u.Signature = signature.ScalarMultiplication(&message, total).Bytes()
}

// outside returns a point of the twist that is not in the subgroup.
func outside(t testing.TB) bls12381.G2Affine {
	t.Helper()
	var four bls12381.E2
	four.A0.SetUint64(4)
	four.A1.SetUint64(4)
	for n := uint64(1); n < 100; n++ {
		var p bls12381.G2Affine
		var y2 bls12381.E2
		p.X.A0.SetUint64(n)
		y2.Square(&p.X).Mul(&y2, &p.X).Add(&y2, &four)
		if y2.Legendre() == 1 {
			p.Y.Sqrt(&y2)
			if p.IsOnCurve() && !p.IsInSubGroup() {
				return p
			}
		}
	}
	t.Fatal("no point found")
	return bls12381.G2Affine{}
}

func wantKind(t testing.TB, name string, err error, kind fault.Kind) {
	t.Helper()
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != kind {
		t.Errorf("%s: %v, want %s", name, err, kind)
	}
}
