package groth16_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"provery/prover/fault"
	"provery/prover/groth16"
	"provery/prover/msm"
	"provery/prover/r1cs"
	"provery/prover/wtns"
	"provery/prover/zkey"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func must[T any](t testing.TB, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func kindOf(err error) fault.Kind {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return ""
}

// keys are the ceremony key that snarkjs made and a development key, with and without multiples.
func keys(t *testing.T) map[string]*groth16.ProvingKey {
	parsed, err := zkey.Parse(read(t, "tiny.zkey"))
	must(t, parsed, err)
	system, err := r1cs.Parse(read(t, "tiny.r1cs"))
	must(t, system, err)
	own, err := groth16.Setup(system, []byte{1}, nil, 2)
	must(t, own, err)
	again, err := zkey.Parse(bytes.Join(own.Encode(), nil))
	must(t, again, err)
	out := map[string]*groth16.ProvingKey{}
	for name, key := range map[string]*zkey.Key{"ceremony": parsed, "development": again} {
		plain, err := groth16.NewProvingKey(key, 0, 1)
		out[name] = must(t, plain, err)
		wide, err := groth16.NewProvingKey(key, 1<<20, 2)
		out[name+" with multiples"] = must(t, wide, err)
	}
	return out
}

func TestProvesHonestAndRefusesForged(t *testing.T) {
	honest, err := wtns.Parse(read(t, "tiny.wtns"))
	must(t, honest, err)
	for name, pk := range keys(t) {
		for threads := 1; threads <= 2; threads++ {
			proof, err := pk.Prove(context.Background(), honest, threads, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			decoded, err := groth16.DecodeProof(groth16.EncodeProof(proof))
			must(t, decoded, err)
			public := append([]msm.Scalar(nil), honest[1:3]...)
			if valid, err := pk.Verifying.Verify(decoded, public); err != nil || !valid {
				t.Errorf("%s: an honest proof is refused: %v", name, err)
			}
			public[0][0]++
			if valid, _ := pk.Verifying.Verify(decoded, public); valid {
				t.Errorf("%s: a proof holds for another public input", name)
			}
		}
		for wire := 1; wire < len(honest); wire++ {
			forged := append([]msm.Scalar(nil), honest...)
			forged[wire][0] ^= 1
			proof, err := pk.Prove(context.Background(), forged, 1, nil)
			must(t, proof, err)
			if valid, err := pk.Verifying.Verify(proof, forged[1:3]); err != nil || valid {
				t.Errorf("%s: a proof of forged wire %d holds: %v", name, wire, err)
			}
		}
		if _, err := pk.Prove(context.Background(), honest[:12], 1, nil); kindOf(err) != fault.InvalidWitness {
			t.Errorf("%s: short witness: %v", name, err)
		}
		stopped, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := pk.Prove(stopped, honest, 1, nil); kindOf(err) != fault.Cancelled {
			t.Errorf("%s: cancelled: %v", name, err)
		}
	}
}

func TestProofsOfOneWitnessHaveNothingInCommon(t *testing.T) {
	honest, err := wtns.Parse(read(t, "tiny.wtns"))
	must(t, honest, err)
	pk := keys(t)["ceremony"]
	one, err := pk.Prove(context.Background(), honest, 1, nil)
	must(t, one, err)
	other, err := pk.Prove(context.Background(), honest, 1, nil)
	must(t, other, err)
	if one.A == other.A || one.B == other.B || one.C == other.C {
		t.Error("two proofs of one witness share a point")
	}
}

func TestWidenKeepsProving(t *testing.T) {
	honest, err := wtns.Parse(read(t, "tiny.wtns"))
	must(t, honest, err)
	pk := keys(t)["ceremony"]
	before := pk.Bytes()
	pk.Widen(1<<20, 2)
	if pk.Bytes() <= before {
		t.Error("widening added no multiples")
	}
	_, err = pk.Prove(context.Background(), honest, 2, nil)
	must(t, pk, err)
}

func TestVerifyingKeyMatchesSnarkjs(t *testing.T) {
	key, err := zkey.Parse(read(t, "tiny.zkey"))
	must(t, key, err)
	ours, err := groth16.EncodeVerifyingKey(&groth16.VerifyingKey{Alpha1: key.Alpha1, Beta2: key.Beta2, Gamma2: key.Gamma2, Delta2: key.Delta2, IC: key.IC})
	must(t, ours, err)
	squeeze := func(b []byte) string { return strings.Join(strings.Fields(string(b)), "") }
	if squeeze(ours) != squeeze(read(t, "vkey.json")) {
		t.Error("the exported verifying key differs from snarkjs's")
	}
}

func TestVerifiesSnarkjsProofAndRefusesTampered(t *testing.T) {
	vk, err := groth16.DecodeVerifyingKey(read(t, "vkey.json"))
	must(t, vk, err)
	text := string(read(t, "proof.json"))
	proof, err := groth16.DecodeProof([]byte(text))
	must(t, proof, err)
	public, err := groth16.DecodePublic(read(t, "public.json"))
	must(t, public, err)
	if valid, err := vk.Verify(proof, public); err != nil || !valid {
		t.Fatalf("snarkjs's proof is refused: %v", err)
	}
	if _, err := vk.Verify(proof, public[:1]); kindOf(err) != fault.InvalidInput {
		t.Errorf("missing public input: %v", err)
	}
	other := *proof
	other.C = proof.A
	if valid, _ := vk.Verify(&other, public); valid {
		t.Error("a proof with C replaced holds")
	}
	for i, batch := range [][]*groth16.Proof{{proof, proof, proof}, {proof, &other, proof}} {
		valid, err := vk.VerifyBatch(batch, [][]msm.Scalar{public, public, public})
		if err != nil || valid != (i == 0) {
			t.Errorf("batch %d: %v, %v", i, valid, err)
		}
	}
	const p = "21888242871839275222246405745257275088696311157297823662689037894645226208583"
	x := strings.SplitN(text, "\"", 5)[3]
	for what, bad := range map[string]string{
		"coordinate p":        strings.Replace(text, x, p, 1),
		"leading zero":        strings.Replace(text, x, "0"+x, 1),
		"negative":            strings.Replace(text, x, "-"+x, 1),
		"off the curve":       strings.Replace(text, x, "1", 1),
		"projective":          strings.Replace(text, "\"1\"\n ],\n \"pi_b\"", "\"2\"\n ],\n \"pi_b\"", 1),
		"other protocol":      strings.Replace(text, "groth16", "plonk", 1),
		"other curve":         strings.Replace(text, "bn128", "bls12381", 1),
		"not JSON":            text[:40],
		"coordinate not text": strings.Replace(text, "\""+x+"\"", x, 1),
	} {
		if bad == text {
			t.Fatalf("%s: the text was not changed", what)
		}
		if _, err := groth16.DecodeProof([]byte(bad)); kindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", what, err)
		}
	}
	const r = "21888242871839275222246405745257275088548364400416034343698204186575808495617"
	for _, bad := range []string{`["` + r + `","1"]`, `["-1","1"]`, `["0x1","1"]`, `["","1"]`, `{}`} {
		if _, err := groth16.DecodePublic([]byte(bad)); kindOf(err) != fault.InvalidInput {
			t.Errorf("public inputs %s: %v", bad, err)
		}
	}
}

func TestConstraintCheckNamesTheViolatedOne(t *testing.T) {
	system, err := r1cs.Parse(read(t, "tiny.r1cs"))
	must(t, system, err)
	witness, err := wtns.Parse(read(t, "tiny.wtns"))
	must(t, witness, err)
	if err := system.Check(witness); err != nil {
		t.Fatal(err)
	}
	witness[3][0] = 2
	if err := system.Check(witness); kindOf(err) != fault.InvalidWitness || !strings.Contains(err.Error(), "constraint ") {
		t.Errorf("got %v", err)
	}
}
