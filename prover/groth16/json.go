package groth16

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/msm"
)

// The JSON forms are snarkjs's: coordinates as decimal strings, points projective with a last coordinate 1,
// G2 coordinates as [real, imaginary].

type g1JSON [3]string
type g2JSON [3][2]string

type proofJSON struct {
	A        g1JSON `json:"pi_a"`
	B        g2JSON `json:"pi_b"`
	C        g1JSON `json:"pi_c"`
	Protocol string `json:"protocol"`
	Curve    string `json:"curve"`
}

type verifyingKeyJSON struct {
	Protocol  string          `json:"protocol"`
	Curve     string          `json:"curve"`
	NPublic   int             `json:"nPublic"`
	Alpha1    g1JSON          `json:"vk_alpha_1"`
	Beta2     g2JSON          `json:"vk_beta_2"`
	Gamma2    g2JSON          `json:"vk_gamma_2"`
	Delta2    g2JSON          `json:"vk_delta_2"`
	AlphaBeta [2][3][2]string `json:"vk_alphabeta_12"`
	IC        []g1JSON        `json:"IC"`
}

func newInt() *big.Int { return new(big.Int) }

func writeG1(p *bn254.G1Affine) g1JSON {
	return g1JSON{p.X.BigInt(newInt()).String(), p.Y.BigInt(newInt()).String(), "1"}
}

func writeE2(e *bn254.E2) [2]string {
	return [2]string{e.A0.BigInt(newInt()).String(), e.A1.BigInt(newInt()).String()}
}

func writeG2(p *bn254.G2Affine) g2JSON { return g2JSON{writeE2(&p.X), writeE2(&p.Y), {"1", "0"}} }

// EncodeProof returns the proof as JSON.
func EncodeProof(p *Proof) []byte {
	return encode(proofJSON{writeG1(&p.A), writeG2(&p.B), writeG1(&p.C), "groth16", "bn128"})
}

// PublicStrings returns public inputs as decimal strings.
func PublicStrings(public []msm.Scalar) []string {
	out := make([]string, len(public))
	for i, k := range public {
		n := newInt()
		for limb := 3; limb >= 0; limb-- {
			n.Lsh(n, 64).Or(n, newInt().SetUint64(k[limb]))
		}
		out[i] = n.String()
	}
	return out
}

// EncodePublic returns public inputs as a JSON list of decimal strings.
func EncodePublic(public []msm.Scalar) []byte { return encode(PublicStrings(public)) }

// EncodeVerifyingKey returns the key as JSON, e(α, β) included.
func EncodeVerifyingKey(vk *VerifyingKey) ([]byte, error) {
	pairing, err := bn254.Pair([]bn254.G1Affine{vk.Alpha1}, []bn254.G2Affine{vk.Beta2})
	if err != nil {
		return nil, err
	}
	out := verifyingKeyJSON{Protocol: "groth16", Curve: "bn128", NPublic: len(vk.IC) - 1, Alpha1: writeG1(&vk.Alpha1),
		Beta2: writeG2(&vk.Beta2), Gamma2: writeG2(&vk.Gamma2), Delta2: writeG2(&vk.Delta2)}
	out.AlphaBeta[0] = [3][2]string{writeE2(&pairing.C0.B0), writeE2(&pairing.C0.B1), writeE2(&pairing.C0.B2)}
	out.AlphaBeta[1] = [3][2]string{writeE2(&pairing.C1.B0), writeE2(&pairing.C1.B1), writeE2(&pairing.C1.B2)}
	for i := range vk.IC {
		out.IC = append(out.IC, writeG1(&vk.IC[i]))
	}
	return encode(out), nil
}

func encode(value any) []byte {
	out, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return append(out, '\n')
}

// DecodeProof reads a proof and checks that it is canonical: coordinates below p, points finite, on their
// curves and in their subgroups. Errors are of kind invalid_input.
func DecodeProof(data []byte) (*Proof, error) {
	var in proofJSON
	if err := decode(data, &in, fault.InvalidInput, "proof"); err != nil {
		return nil, err
	}
	// rapidsnark leaves the curve out
	if in.Protocol != "groth16" || in.Curve != "bn128" && in.Curve != "" {
		return nil, fault.New(fault.InvalidInput, "the proof is %q over %q, expected groth16 over bn128",
			fault.Shorten(in.Protocol, 20), fault.Shorten(in.Curve, 20))
	}
	proof := &Proof{}
	if err := readG1(in.A, &proof.A, fault.InvalidInput, "pi_a"); err != nil {
		return nil, err
	}
	if err := readG2(in.B, &proof.B, fault.InvalidInput, "pi_b"); err != nil {
		return nil, err
	}
	return proof, wrap(readG1(in.C, &proof.C, fault.InvalidInput, "pi_c"))
}

func wrap(err *fault.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// DecodePublic reads a JSON list of public inputs in decimal, each below r.
func DecodePublic(data []byte) ([]msm.Scalar, error) {
	var in []string
	if err := decode(data, &in, fault.InvalidInput, "list of public inputs"); err != nil {
		return nil, err
	}
	public := make([]msm.Scalar, len(in))
	for i, text := range in {
		n, ok := parseDecimal(text, fr.Modulus())
		if !ok {
			return nil, fault.New(fault.InvalidInput, "public input %d is %q, expected a decimal number below r", i, fault.Shorten(text, 80))
		}
		public[i] = scalarOf(n)
	}
	return public, nil
}

func scalarOf(n *big.Int) (k msm.Scalar) {
	for i, w := range n.Bits() {
		k[i] = uint64(w)
	}
	return
}

// DecodeVerifyingKey reads a verifying key; vk_alphabeta_12 is not needed and not read. Errors are of kind
// invalid_key.
func DecodeVerifyingKey(data []byte) (*VerifyingKey, error) {
	var in verifyingKeyJSON
	if err := decode(data, &in, fault.InvalidKey, "verifying key"); err != nil {
		return nil, err
	}
	if in.Protocol != "groth16" || in.Curve != "bn128" {
		return nil, fault.New(fault.InvalidKey, "the verifying key is %q over %q, expected groth16 over bn128",
			fault.Shorten(in.Protocol, 20), fault.Shorten(in.Curve, 20))
	}
	if len(in.IC) != in.NPublic+1 {
		return nil, fault.New(fault.InvalidKey, "the verifying key has %d IC points, expected nPublic + 1 = %d", len(in.IC), in.NPublic+1)
	}
	vk := &VerifyingKey{IC: make([]bn254.G1Affine, len(in.IC))}
	if err := readG1(in.Alpha1, &vk.Alpha1, fault.InvalidKey, "vk_alpha_1"); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		from g2JSON
		to   *bn254.G2Affine
		name string
	}{{in.Beta2, &vk.Beta2, "vk_beta_2"}, {in.Gamma2, &vk.Gamma2, "vk_gamma_2"}, {in.Delta2, &vk.Delta2, "vk_delta_2"}} {
		if err := readG2(p.from, p.to, fault.InvalidKey, p.name); err != nil {
			return nil, err
		}
	}
	for i := range in.IC {
		if in.IC[i] == (g1JSON{"0", "1", "0"}) {
			continue // a public input that no constraint mentions
		}
		if err := readG1(in.IC[i], &vk.IC[i], fault.InvalidKey, "IC"); err != nil {
			return nil, err
		}
	}
	return vk, nil
}

func decode(data []byte, to any, kind fault.Kind, what string) error {
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(to); err != nil {
		return fault.New(kind, "not a %s in JSON: %s", what, fault.Shorten(err.Error(), 200))
	}
	return nil
}

// parseDecimal reads a decimal number without sign or leading zeros, below limit.
func parseDecimal(text string, limit *big.Int) (*big.Int, bool) {
	if text == "" || len(text) > 80 || len(text) > 1 && text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		return nil, false
	}
	n, ok := newInt().SetString(text, 10)
	return n, ok && n.Cmp(limit) < 0
}

func readBase(text string, to *fp.Element, kind fault.Kind, name string) *fault.Error {
	n, ok := parseDecimal(text, fp.Modulus())
	if !ok {
		return fault.New(kind, "a coordinate of %s is %q, expected a decimal number below p", name, fault.Shorten(text, 80))
	}
	to.SetBigInt(n)
	return nil
}

func readG1(in g1JSON, p *bn254.G1Affine, kind fault.Kind, name string) *fault.Error {
	for i, to := range []*fp.Element{&p.X, &p.Y} {
		if err := readBase(in[i], to, kind, name); err != nil {
			return err
		}
	}
	if in[2] != "1" || p.IsInfinity() || !p.IsOnCurve() {
		return fault.New(kind, "%s is not a finite point of G1's curve in affine form", name)
	}
	return nil
}

func readG2(in g2JSON, p *bn254.G2Affine, kind fault.Kind, name string) *fault.Error {
	for i, to := range []*fp.Element{&p.X.A0, &p.X.A1, &p.Y.A0, &p.Y.A1} {
		if err := readBase(in[i/2][i%2], to, kind, name); err != nil {
			return err
		}
	}
	if in[2] != [2]string{"1", "0"} || p.IsInfinity() || !p.IsOnCurve() {
		return fault.New(kind, "%s is not a finite point of G2's curve in affine form", name)
	}
	if !p.IsInSubGroup() {
		return fault.New(kind, "%s is outside the subgroup of order r", name)
	}
	return nil
}
