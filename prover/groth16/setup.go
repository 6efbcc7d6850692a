package groth16

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/r1cs"
	"provery/prover/zkey"
)

// toxic holds the secrets of a set-up. Whoever knows them can prove anything.
type toxic struct{ tau, alpha, beta, delta fr.Element }

func newToxic(seed []byte) (t toxic, err error) {
	for i, secret := range []*fr.Element{&t.tau, &t.alpha, &t.beta, &t.delta} {
		for secret.IsZero() {
			if seed != nil {
				block := sha256.Sum256(binary.BigEndian.AppendUint32(append([]byte("provery insecure setup"), seed...), uint32(i)))
				secret.SetBytes(block[:])
				continue
			}
			n, err := rand.Int(rand.Reader, fr.Modulus())
			if err != nil {
				return t, err
			}
			secret.SetBigInt(n)
		}
	}
	return t, nil
}

// Setup makes a proving key for a constraint system in one step, by one party, with γ = 1 as snarkjs has it.
// It is for development only: the process that runs it could forge proofs, and with a seed so can everyone
// who knows the seed. circuitHash (up to 64 bytes) goes into the key's history section.
func Setup(system *r1cs.System, seed, circuitHash []byte, threads int) (*zkey.Key, error) {
	rows := len(system.Constraints) + system.NPublic + 1
	size := 1 << bits.Len(uint(rows-1))
	if size > 1<<27 {
		return nil, fault.New(fault.Unsupported, "%d rows need a domain above 2^27", rows)
	}
	secrets, err := newToxic(seed)
	if err != nil {
		return nil, err
	}
	even, odd, err := lagrange(size, secrets.tau)
	if err != nil {
		return nil, err
	}
	key := &zkey.Key{NVars: system.NWires, NPublic: system.NPublic, DomainSize: size, CircuitHash: circuitHash}
	a, b, c := make([]fr.Element, system.NWires), make([]fr.Element, system.NWires), make([]fr.Element, system.NWires)
	for row, constraint := range system.Constraints {
		for m, to := range [][]fr.Element{a, b, c} {
			for _, t := range constraint[m] {
				var product fr.Element
				product.Mul(&t.Value, &even[row])
				to[t.Wire].Add(&to[t.Wire], &product)
				if m < 2 {
					key.Coefficients = append(key.Coefficients, zkey.Coefficient{Matrix: uint32(m), Constraint: uint32(row), Signal: t.Wire, Value: t.Value})
				}
			}
		}
	}
	// one row per public input makes their polynomials independent
	var one fr.Element
	one.SetOne()
	for signal := range system.NPublic + 1 {
		row := len(system.Constraints) + signal
		a[signal].Add(&a[signal], &even[row])
		key.Coefficients = append(key.Coefficients, zkey.Coefficient{Matrix: 0, Constraint: uint32(row), Signal: uint32(signal), Value: one})
	}
	secrets.points(key, a, b, c, odd, threads)
	return key, nil
}

// points fills in the key's points from the signals' polynomials at τ.
func (t *toxic) points(key *zkey.Key, a, b, c, odd []fr.Element, threads int) {
	_, _, g1, g2 := bn254.Generators()
	var perDelta fr.Element
	perDelta.Inverse(&t.delta)
	linear := make([]fr.Element, len(a))
	for i := range linear {
		var x, y fr.Element
		x.Mul(&t.beta, &a[i])
		y.Mul(&t.alpha, &b[i])
		linear[i].Add(&x, &y).Add(&linear[i], &c[i])
		if i > key.NPublic {
			linear[i].Mul(&linear[i], &perDelta)
		}
	}
	for i := range odd {
		odd[i].Mul(&odd[i], &perDelta)
	}
	fixed := msm.MultiplyG1(g1, normal([]fr.Element{t.alpha, t.beta, t.delta}), 1)
	key.Alpha1, key.Beta1, key.Delta1 = fixed[0], fixed[1], fixed[2]
	fixed2 := msm.MultiplyG2(g2, normal([]fr.Element{t.beta, t.delta}), 1)
	key.Beta2, key.Gamma2, key.Delta2 = fixed2[0], g2, fixed2[1]
	key.A = msm.MultiplyG1(g1, normal(a), threads)
	scalars := normal(b)
	key.B1 = msm.MultiplyG1(g1, scalars, threads)
	key.B2 = msm.MultiplyG2(g2, scalars, threads)
	all := msm.MultiplyG1(g1, normal(linear), threads)
	key.IC, key.C = all[:key.NPublic+1], all[key.NPublic+1:]
	key.H = msm.MultiplyG1(g1, normal(odd), threads)
}

// lagrange evaluates Lagrange bases at τ: of the domain of the given size, and, of the domain twice that
// size, the members at odd places.
func lagrange(size int, tau fr.Element) (even, odd []fr.Element, err error) {
	if even, err = lagrangeAt(size, tau, 1, 0); err != nil {
		return nil, nil, err
	}
	odd, err = lagrangeAt(2*size, tau, 2, 1)
	return even, odd, err
}

// lagrangeAt returns Lᵢ(τ) = ωⁱ·(τⁿ−1)/(n·(τ−ωⁱ)) for every step-th i from first.
func lagrangeAt(n int, tau fr.Element, step, first int) ([]fr.Element, error) {
	omega, err := fft.Generator(uint64(n))
	if err != nil {
		return nil, err
	}
	var factor, one, count, power, stride fr.Element
	one.SetOne()
	factor.Exp(tau, big.NewInt(int64(n))).Sub(&factor, &one)
	count.SetUint64(uint64(n))
	factor.Div(&factor, &count)
	power.Exp(omega, big.NewInt(int64(first)))
	stride.Exp(omega, big.NewInt(int64(step)))
	out := make([]fr.Element, n/step)
	roots := make([]fr.Element, n/step)
	for i := range out {
		roots[i] = power
		out[i].Sub(&tau, &power)
		if out[i].IsZero() {
			return nil, fault.New(fault.Internal, "the secret point lies in the domain")
		}
		power.Mul(&power, &stride)
	}
	out = fr.BatchInvert(out)
	for i := range out {
		out[i].Mul(&out[i], &factor).Mul(&out[i], &roots[i])
	}
	return out, nil
}

func normal(elements []fr.Element) []msm.Scalar {
	out := make([]msm.Scalar, len(elements))
	for i := range elements {
		out[i] = elements[i].Bits()
	}
	return out
}
