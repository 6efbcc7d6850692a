package statement

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/circuits"
	"provery/prover/fault"
)

// outsideG2 returns a point of the twist that is not in the subgroup.
func outsideG2() (p bn254.G2Affine) {
	_, _, _, g := bn254.Generators()
	var constant, right bn254.E2 // y² − x³, the same for every point
	right.Square(&g.X).Mul(&right, &g.X)
	constant.Square(&g.Y).Sub(&constant, &right)
	for p.X.A0.SetOne(); ; p.X.A0.Add(&p.X.A0, new(fp.Element).SetOne()) {
		right.Square(&p.X).Mul(&right, &p.X).Add(&right, &constant)
		if right.Legendre() != 1 {
			continue
		}
		p.Y.Sqrt(&right)
		if p.IsOnCurve() && !p.IsInSubGroup() {
			return p
		}
	}
}

// A point has one encoding, and what is none is refused where it is read, not only by the pairing check.
func TestProofsHaveOneEncoding(t *testing.T) {
	r := selfTest(t)
	r.prove()
	good := r.read(r.order.Proof)
	coordinate := func(p []byte, i int) []byte { return p[32*i : 32*i+32] }
	plus := func(p []byte, i int, what *big.Int) {
		n := new(big.Int).SetBytes(coordinate(p, i))
		n.Add(n, what).FillBytes(coordinate(p, i))
	}
	names := []string{"A", "A", "B", "B", "B", "B", "C", "C", "commitment", "commitment", "knowledge", "knowledge"}
	if len(good) != 32*len(names) {
		t.Fatalf("a proof of %d bytes", len(good))
	}
	check := func(name string, spoil func(p []byte)) {
		t.Helper()
		bad := append([]byte(nil), good...)
		spoil(bad)
		var known *fault.Error
		if _, err := decodeProof(bad, 1); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, name := range names {
		check(name+": a coordinate plus the modulus", func(p []byte) { plus(p, i, fp.Modulus()) })
		check(name+": the modulus", func(p []byte) { fp.Modulus().FillBytes(coordinate(p, i)) })
		check(name+": off the curve", func(p []byte) { plus(p, i, big.NewInt(1)) })
		for _, flag := range []byte{0x40, 0x80, 0xc0} {
			check(name+": a flag", func(p []byte) { coordinate(p, i)[0] |= flag })
		}
	}
	for start, size := range map[int]int{0: 2, 2: 4, 6: 2, 8: 2, 10: 2} {
		check(names[start]+": zeros for infinity", func(p []byte) { clear(p[32*start : 32*(start+size)]) })
		check(names[start]+": flagged infinity", func(p []byte) { clear(p[32*start : 32*(start+size)]); p[32*start] = 0x40 })
		check(names[start]+": compressed infinity", func(p []byte) { clear(p[32*start : 32*(start+size)]); p[32*start] = 0xc0 })
	}
	b := outsideG2()
	raw := b.RawBytes()
	check("B: outside the subgroup", func(p []byte) { copy(p[64:], raw[:]) })
}

// Readers differ in which of two values of one name they take, and in whether case counts: such files are refused.
func TestPublicFilesHaveOneMeaning(t *testing.T) {
	r := selfTest(t)
	r.prove()
	good := string(r.read(r.order.Public))
	for name, change := range map[string][2]string{
		"two values of a name":      {`"y": "0x23"`, `"y": "0x24", "y": "0x23"`},
		"two objects":               {`"public": {`, `"public": {"y": "0x24"}, "public": {`},
		"another case":              {`"public": {`, `"Public": {`},
		"another case, and the own": {`"public": {`, `"Public": {"y": "0x24"}, "public": {`},
		"text behind":               {"\n}\n", "\n}{}\n"},
		"an unknown name":           {`"public": {`, `"more": 1, "public": {`},
	} {
		changed := strings.Replace(good, change[0], change[1], 1)
		if changed == good {
			t.Fatalf("%s: nothing changed", name)
		}
		r.write(r.order.Public, []byte(changed))
		var known *fault.Error
		if _, err := r.order.Verify(r.circuit); !errors.As(err, &known) || known.Kind != fault.InvalidProof {
			t.Errorf("%s: %v", name, err)
		}
	}
	var public Public
	if err := json.Unmarshal([]byte(good), &public); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(public)
	r.write(r.order.Public, text)
	if _, err := r.order.Verify(r.circuit); err != nil {
		t.Errorf("white space counts: %v", err)
	}
}

func TestPublicNumbersHaveOneForm(t *testing.T) {
	r := selfTest(t)
	r.prove()
	vk, err := readVerifyingKey(r.circuit.Scheme, r.read(r.file("vk")))
	if err != nil {
		t.Fatal(err)
	}
	proof := r.read(r.order.Proof)
	more, less := new(big.Int).Add(fr.Modulus(), big.NewInt(0x23)), new(big.Int).Sub(fr.Modulus(), big.NewInt(0x23))
	for _, other := range []string{"23", "0x023", "0X23", "0x" + more.Text(16), "0x-" + less.Text(16)} {
		if verify(r.circuit, vk, proof, circuits.Values{"y": other}) == nil {
			t.Errorf("%s stands for 0x23", other)
		}
	}
}

// A key from outside has no manifest that could tell whether it is secure.
func TestAKeyFromOutsideIsNotKnownToBeSecure(t *testing.T) {
	r := selfTest(t)
	r.prove()
	order := Order{VerifyingKey: r.file("vk"), Proof: r.order.Proof, Public: r.order.Public, Secure: true}
	var known *fault.Error
	if _, err := order.Verify(r.circuit); !errors.As(err, &known) || known.Kind != fault.InvalidInput {
		t.Errorf("got %v", err)
	}
}
