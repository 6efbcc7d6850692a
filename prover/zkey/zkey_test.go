package zkey_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"provery/prover/fault"
	"provery/prover/zkey"
)

func tiny(t testing.TB) []byte {
	data, err := os.ReadFile("../testdata/tiny.zkey")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sections returns where each section's header starts and its bytes begin and end.
func sections(data []byte) map[uint32][3]int {
	out := map[uint32][3]int{}
	at := 12
	for at < len(data) {
		size := int(binary.LittleEndian.Uint64(data[at+4:]))
		out[binary.LittleEndian.Uint32(data[at:])] = [3]int{at, at + 12, at + 12 + size}
		at += 12 + size
	}
	return out
}

func TestParseAndWriteBack(t *testing.T) {
	data := tiny(t)
	key, err := zkey.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if key.NVars != 13 || key.NPublic != 2 || key.DomainSize != 16 || key.Contributions != 1 {
		t.Errorf("unexpected header: %+v", key.Summarize(data))
	}
	written := bytes.Join(key.Encode(), nil)
	before, after := sections(data), sections(written)
	for id := uint32(1); id <= 9; id++ {
		if !bytes.Equal(data[before[id][1]:before[id][2]], written[after[id][1]:after[id][2]]) {
			t.Errorf("section %d is not written as it was read", id)
		}
	}
}

func wantInvalidKey(t *testing.T, what string, data []byte, mention string) {
	t.Helper()
	_, err := zkey.Parse(data)
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != fault.InvalidKey || !strings.Contains(known.Message, mention) {
		t.Errorf("%s: got %v, want invalid_key mentioning %q", what, err, mention)
	}
}

func TestRefusesDamage(t *testing.T) {
	data := tiny(t)
	table := sections(data)
	edit := func(change func([]byte)) []byte {
		copied := append([]byte(nil), data...)
		change(copied)
		return copied
	}
	for id, s := range table {
		for _, at := range s {
			if at < len(data) {
				wantInvalidKey(t, "cut at a section boundary", data[:at], "")
			}
			wantInvalidKey(t, "cut before a section boundary", data[:at-1], "")
		}
		wantInvalidKey(t, "section number", edit(func(b []byte) { b[s[0]] ^= 0x40 }), "")
		wantInvalidKey(t, "section length", edit(func(b []byte) { b[s[0]+4] ^= 1 }), "")
		wantInvalidKey(t, "huge section length", edit(func(b []byte) { b[s[0]+11] = 0xff }), "truncated?")
		if id >= 3 && id <= 9 && id != 4 { // a changed coefficient is still a coefficient
			wantInvalidKey(t, "flipped bit", edit(func(b []byte) { b[s[1]+30] ^= 0x80 }), "")
		}
	}
	wantInvalidKey(t, "magic", edit(func(b []byte) { b[0] = 'x' }), "magic")
	wantInvalidKey(t, "version", edit(func(b []byte) { b[4] = 9 }), "version")
	wantInvalidKey(t, "plonk", edit(func(b []byte) { b[table[1][1]] = 2 }), "plonk")
	wantInvalidKey(t, "fflonk", edit(func(b []byte) { b[table[1][1]] = 10 }), "fflonk")
	wantInvalidKey(t, "bls12-381", edit(func(b []byte) { b[table[2][1]] = 48 }), "bls12-381")
	wantInvalidKey(t, "base field", edit(func(b []byte) { b[table[2][1]+4] ^= 1 }), "base field")
	wantInvalidKey(t, "scalar field", edit(func(b []byte) { b[table[2][1]+40] ^= 1 }), "scalar field")
	wantInvalidKey(t, "no variables", edit(func(b []byte) { b[table[2][1]+72] = 0 }), "signals")
	wantInvalidKey(t, "domain", edit(func(b []byte) { b[table[2][1]+80] = 17 }), "domain")
	wantInvalidKey(t, "more variables", edit(func(b []byte) { b[table[2][1]+75] = 0x7f }), "section")
	wantInvalidKey(t, "more coefficients", edit(func(b []byte) { b[table[4][1]+3] = 0x7f }), "coefficients")
	wantInvalidKey(t, "point off the curve", edit(func(b []byte) { copy(b[table[9][1]:], make([]byte, 32)) }), "H")
	wantInvalidKey(t, "coordinate above p", edit(func(b []byte) { copy(b[table[9][1]:], bytes.Repeat([]byte{255}, 32)) }), "H")
}

func TestRefusesPointOutsideSubgroup(t *testing.T) {
	key, err := zkey.Parse(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	stray := outsideSubgroup(t)
	key.B2[3] = stray
	wantInvalidKey(t, "few points", bytes.Join(key.Encode(), nil), "subgroup")
}

// outsideSubgroup finds a point of G2's curve that is not of order r: most are not.
func outsideSubgroup(t *testing.T) bn254.G2Affine {
	var b bn254.E2
	var xi bn254.E2
	xi.A0.SetUint64(9)
	xi.A1.SetUint64(1)
	xi.Inverse(&xi)
	var three fp.Element
	three.SetUint64(3)
	b.MulByElement(&xi, &three)
	for x := uint64(1); x < 100; x++ {
		var p bn254.G2Affine
		p.X.A0.SetUint64(x)
		var right bn254.E2
		right.Square(&p.X)
		right.Mul(&right, &p.X)
		right.Add(&right, &b)
		if right.Legendre() != 1 {
			continue
		}
		p.Y.Sqrt(&right)
		if p.IsOnCurve() && !p.IsInSubGroup() {
			return p
		}
	}
	t.Fatal("no such point found")
	return bn254.G2Affine{}
}

func FuzzParse(f *testing.F) {
	data := tiny(f)
	f.Add(data)
	for _, s := range sections(data) {
		f.Add(data[:s[1]])
		flipped := append([]byte(nil), data...)
		flipped[s[0]+5] ^= 1
		f.Add(flipped)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := zkey.Parse(data); err == nil && key.NVars*64 > len(data) {
			t.Error("a key larger than its file")
		}
	})
}
