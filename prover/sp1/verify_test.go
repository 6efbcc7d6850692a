package sp1

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

// program is the hash of the program that the recorded proofs are of.
const program = "001af9e056e4b0ce9c96815b973a1df32bca6e83da49ef9a170d2dca9cd2eeea"

func vector(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../vectors/beacon", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func recorded(t *testing.T, period string) (proof, public, hash []byte) {
	t.Helper()
	hash, _ = hex.DecodeString(program)
	return vector(t, "sp1/proof_"+period+".bin"), vector(t, "mainnet/public_values_"+period+".bin"), hash
}

func TestRealProofsVerify(t *testing.T) {
	for _, period := range []string{"1600", "1601"} {
		if err := Verify(recorded(t, period)); err != nil {
			t.Errorf("%s: %v", period, err)
		}
	}
}

func TestEveryChangedByteIsRejected(t *testing.T) {
	proof, public, hash := recorded(t, "1600")
	random := rand.New(rand.NewPCG(1600, 1))
	for range 200 {
		for part, data := range map[string][]byte{"proof": proof, "public": public, "program": hash} {
			at, by := random.IntN(len(data)), byte(1+random.IntN(255))
			data[at] ^= by
			err := Verify(proof, public, hash)
			data[at] ^= by
			var rejected *Rejected
			if !errors.As(err, &rejected) {
				t.Fatalf("byte %d of %s changed by %02x: %v", at, part, by, err)
			}
		}
	}
	if err := Verify(proof, public, hash); err != nil {
		t.Fatal(err) // the changes were taken back: the rejections above were theirs
	}
}

func TestSelectorBytesAllCount(t *testing.T) {
	proof, public, hash := recorded(t, "1601")
	for at := range 4 {
		for _, by := range []byte{1, 0x80, 0xff} {
			proof[at] ^= by
			err := Verify(proof, public, hash)
			proof[at] ^= by
			if err == nil || !strings.Contains(err.Error(), "selector") {
				t.Errorf("byte %d: %v", at, err)
			}
		}
	}
}

func TestEncodingsAreStrict(t *testing.T) {
	proof, public, hash := recorded(t, "1600")
	coordinate := func(data []byte, at int) []byte { return data[4+32*at : 36+32*at] }
	modulus := fp.Modulus()
	offGroup := func() [128]byte { // on the twist, outside the subgroup of order r
		var b bn254.G2Affine
		for x := uint64(1); ; x++ {
			b.X.A0.SetUint64(x)
			var right bn254.E2
			right.Square(&b.X).Mul(&right, &b.X)
			right.Add(&right, twist())
			if right.Legendre() != 1 {
				continue
			}
			b.Y.Sqrt(&right)
			if b.IsOnCurve() && !b.IsInSubGroup() {
				break
			}
		}
		var data [128]byte
		for i, e := range []fp.Element{b.X.A1, b.X.A0, b.Y.A1, b.Y.A0} {
			bytes := e.Bytes()
			copy(data[32*i:], bytes[:])
		}
		return data
	}()
	for name, c := range map[string]struct {
		change func([]byte) []byte
		says   string
	}{
		"empty":     {func([]byte) []byte { return nil }, "0 bytes"},
		"short":     {func(p []byte) []byte { return p[:259] }, "259 bytes"},
		"long":      {func(p []byte) []byte { return append(p, 0) }, "261 bytes"},
		"off curve": {func(p []byte) []byte { coordinate(p, 1)[31] ^= 1; return p }, "not on the curve"},
		"C off":     {func(p []byte) []byte { coordinate(p, 6)[31] ^= 1; return p }, "not on the curve"},
		"B off":     {func(p []byte) []byte { coordinate(p, 4)[31] ^= 1; return p }, "B is not in its group"},
		"B small":   {func(p []byte) []byte { copy(p[68:196], offGroup[:]); return p }, "B is not in its group"},
		"infinity":  {func(p []byte) []byte { clear(p[4:68]); return p }, "infinity"},
		"modulus":   {func(p []byte) []byte { modulus.FillBytes(coordinate(p, 0)); return p }, "modulus"},
		"same x plus p": {func(p []byte) []byte {
			var x fp.Element
			_ = x.SetBytesCanonical(coordinate(p, 7))
			sum := x.BigInt(fp.Modulus())
			sum.Add(sum, modulus).FillBytes(coordinate(p, 7))
			return p
		}, "modulus"},
	} {
		err := Verify(c.change(slices.Clone(proof)), public, hash)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, wrong := range [][]byte{nil, hash[:31], append([]byte{0}, hash...), slices.Repeat([]byte{0xff}, 32)} {
		if err := Verify(proof, public, wrong); err == nil || !strings.Contains(err.Error(), "program") {
			t.Errorf("program %x: %v", wrong, err)
		}
	}
}

// twist is b' of y² = x³ + b' over the quadratic extension: that of any point of the curve.
func twist() *bn254.E2 {
	_, _, _, g := bn254.Generators()
	var left, right bn254.E2
	left.Square(&g.Y)
	right.Square(&g.X).Mul(&right, &g.X)
	return left.Sub(&left, &right)
}

func BenchmarkVerify(b *testing.B) {
	hash, _ := hex.DecodeString(program)
	proof, _ := os.ReadFile("../../vectors/beacon/sp1/proof_1600.bin")
	public, _ := os.ReadFile("../../vectors/beacon/mainnet/public_values_1600.bin")
	for b.Loop() {
		if err := Verify(proof, public, hash); err != nil {
			b.Fatal(err)
		}
	}
}
