package keys

import (
	"bytes"
	"math/big"
	"math/bits"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/pedersen"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/circuits"
	"provery/prover/depot"
	"provery/prover/mapfile"
	"provery/prover/msm"
	"provery/prover/pace"
	"provery/prover/srs"
)

// steps are those of Generate, with the seconds that a million constraints take on two cores.
var steps = []pace.Step{
	pace.Usual("compile", "compile", 6),
	pace.Usual("evaluate", "generate", 0.8),
	pace.Usual("generate", "generate", 17),
	pace.Usual("install", "install", 1),
}

// chunk is how many points are computed, and then written, at a time.
const chunk = 1 << 17

// Generate makes development keys for a circuit: one party, this process, which could forge proofs. Where there is a
// current set-up already, or another process makes one meanwhile, that one is returned, with made false.
//
// It is gnark's own set-up with three differences: multiples of the two generators come from tables of windows
// (msm.MultiplyG1), a sixth of the work; the key goes to its file part by part, so that it is never in memory; and what
// the prover does not need is left out.
// Source: Groth, On the size of pairing-based non-interactive arguments, 2016; gnark backend/groth16/bn254/setup.go.
func (s Store) Generate(c *circuits.Circuit, threads int, tell pace.Tell) (m *Manifest, made bool, err error) {
	if c.ID != "" {
		if m, err = s.Current(c.ID); m != nil || err != nil {
			return m, false, err
		}
	}
	p := pace.New(tell, pace.Scale(steps, max(1, c.Constraints)))
	defer p.Stop()
	id, compile := c.ID, func() (*circuits.Compiled, error) {
		p.Begin("compile")
		return circuits.Compile(c)
	}
	var compiled *circuits.Compiled
	if id == "" {
		if compiled, err = compile(); err != nil {
			return nil, false, err
		}
		id = compiled.ID
	}
	err = depot.Locked(s.circuit(id), func() { tell("wait", 0) }, func(dir string) error {
		if m, err = s.Current(id); m != nil || err != nil {
			return err
		}
		if compiled == nil {
			if compiled, err = compile(); err != nil {
				return err
			}
		}
		vk, err := generate(compiled, filepath.Join(dir, fileProving), threads, p)
		if err != nil {
			return err
		}
		p.Begin("install")
		if err := writeVerifyingKey(filepath.Join(dir, fileVerify), vk); err != nil {
			return err
		}
		m, err = s.install(dir, c, compiled, development())
		made = err == nil
		return err
	})
	return m, made, err
}

func writeVerifyingKey(path string, vk *groth16.VerifyingKey) error {
	var text bytes.Buffer
	if _, err := vk.WriteRawTo(&text); err != nil {
		return err
	}
	return depot.WriteSynced(path, text.Bytes())
}

// toxic are the secrets of a set-up.
type toxic struct{ t, alpha, beta, gamma, delta, gammaInv, deltaInv fr.Element }

func newToxic() (x toxic, err error) {
	for _, secret := range []*fr.Element{&x.t, &x.alpha, &x.beta, &x.gamma, &x.delta} {
		if err := draw(secret); err != nil {
			return x, err
		}
	}
	x.gammaInv.Inverse(&x.gamma)
	x.deltaInv.Inverse(&x.delta)
	return x, nil
}

// draw sets a secret that is zero to a random value other than zero.
func draw(secret *fr.Element) error {
	for secret.IsZero() {
		if _, err := secret.SetRandom(); err != nil {
			return err
		}
	}
	return nil
}

// generator writes the multiples of generators that a proving key consists of.
type generator struct {
	*mapfile.Writer
	threads     int
	done, total int
	pace        *pace.Pace
}

// g2Weight is what a multiple in G2 costs, in those in G1.
const g2Weight = 3

func generate(compiled *circuits.Compiled, path string, threads int, p *pace.Pace) (*groth16.VerifyingKey, error) {
	system := compiled.System
	secrets, err := newToxic()
	if err != nil {
		return nil, err
	}
	domain := fft.NewDomain(uint64(system.GetNbConstraints()), fft.WithoutPrecompute())
	p.Begin("evaluate")
	a, b, c := evaluate(system, domain, &secrets.t)
	k := split(system, &secrets, a, b, c)
	a, infinityA := nonZero(a)
	b, infinityB := nonZero(b)

	w, err := newKeyWriter(path, compiled.ID, domain.Cardinality, len(infinityA), len(k.committed))
	if err != nil {
		return nil, err
	}
	defer w.Abandon()
	g := &generator{Writer: w, threads: threads, pace: p, total: len(a) + g2Weight*len(b) + int(domain.Cardinality) + len(k.private)}
	for _, committed := range k.committed {
		g.total += 2 * len(committed)
	}
	p.Begin("generate")
	_, _, base1, base2 := bn254.Generators()
	fixed1 := msm.MultiplyG1(base1, scalars([]fr.Element{secrets.alpha, secrets.beta, secrets.delta}), 1)
	fixed2 := msm.MultiplyG2(base2, scalars([]fr.Element{secrets.beta, secrets.delta, secrets.gamma}), 1)
	vk := new(groth16.VerifyingKey)
	vk.G1.Alpha, vk.G1.Beta, vk.G1.Delta = fixed1[0], fixed1[1], fixed1[2]
	vk.G2.Beta, vk.G2.Delta, vk.G2.Gamma = fixed2[0], fixed2[1], fixed2[2]
	vk.G1.K = msm.MultiplyG1(base1, scalars(k.public), 1)
	commitments := system.CommitmentInfo.(constraint.Groth16Commitments)
	vk.PublicAndCommitmentCommitted = commitments.GetPublicAndCommitmentCommitted(commitments.CommitmentIndexes(), system.GetNbPublicVariables())

	for _, part := range []struct {
		name string
		data []byte
	}{{sectionFixed1, mapfile.Bytes(fixed1[:1])}, {sectionFixed2, mapfile.Bytes(fixed2[:2])}, {sectionInfinityA, flagBytes(infinityA)}, {sectionInfinityB, flagBytes(infinityB)}} {
		if err := w.Section(part.name, part.data); err != nil {
			return nil, err
		}
	}
	for _, part := range []struct {
		name   string
		count  int
		scalar func(i int) fr.Element
	}{
		{sectionA, len(a), at(a)}, {sectionK, len(k.private), at(k.private)},
		{sectionZ, int(domain.Cardinality) - 1, vanishing(domain, &secrets)},
	} {
		if err := g.g1(part.name, part.count, part.scalar); err != nil {
			return nil, err
		}
	}
	if err := g.g2(sectionB2, b); err != nil {
		return nil, err
	}
	if err := g.commitments(vk, k.committed); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return vk, vk.Precompute()
}

// commitments makes, for each commitment, its basis and the basis times a secret σ that the proof of knowledge needs.
func (g *generator) commitments(vk *groth16.VerifyingKey, committed [][]fr.Element) error {
	if len(committed) == 0 {
		return nil
	}
	base, err := bn254.RandomOnG2()
	if err != nil {
		return err
	}
	for i, basis := range committed {
		var sigma fr.Element
		if err := draw(&sigma); err != nil {
			return err
		}
		if err := g.g1(numbered(sectionBasis, i), len(basis), at(basis)); err != nil {
			return err
		}
		if err := g.g1(numbered(sectionSigma, i), len(basis), func(i int) (product fr.Element) {
			product.Mul(&basis[i], &sigma)
			return
		}); err != nil {
			return err
		}
		one := pedersen.VerifyingKey{G: base}
		sigma.Neg(&sigma)
		one.GSigmaNeg.ScalarMultiplication(&base, sigma.BigInt(new(big.Int)))
		vk.CommitmentKeys = append(vk.CommitmentKeys, one)
	}
	return nil
}

func (g *generator) g1(name string, count int, scalar func(i int) fr.Element) error {
	_, _, base, _ := bn254.Generators()
	return g.write(name, count, 1, func(lo, hi int) []byte {
		part := make([]msm.Scalar, hi-lo)
		for i := range part {
			value := scalar(lo + i)
			part[i] = value.Bits()
		}
		return mapfile.Bytes(msm.MultiplyG1(base, part, g.threads))
	})
}

func (g *generator) g2(name string, values []fr.Element) error {
	_, _, _, base := bn254.Generators()
	return g.write(name, len(values), g2Weight, func(lo, hi int) []byte {
		return mapfile.Bytes(msm.MultiplyG2(base, scalars(values[lo:hi]), g.threads))
	})
}

func (g *generator) write(name string, count, weight int, multiply func(lo, hi int) []byte) error {
	g.Begin(name)
	for lo := 0; lo < count; lo += chunk {
		hi := min(lo+chunk, count)
		if err := g.Append(multiply(lo, hi)); err != nil {
			return err
		}
		g.done += weight * (hi - lo)
		g.pace.Count(float64(g.done) / float64(g.total))
	}
	return nil
}

// parts are the terms β·A + α·B + C of all wires, sorted by who needs them.
type parts struct {
	public    []fr.Element   // divided by γ: public wires, then commitments, for the verifying key
	private   []fr.Element   // divided by δ
	committed [][]fr.Element // divided by γ: the bases of commitments
}

func split(system *cs.R1CS, secrets *toxic, a, b, c []fr.Element) (k parts) {
	commitments := system.CommitmentInfo.(constraint.Groth16Commitments)
	owner := make([]int32, len(a)) // 0: private; -1: for the verifier; i+1: committed in commitment i
	for i := range system.GetNbPublicVariables() {
		owner[i] = -1
	}
	k.committed = make([][]fr.Element, len(commitments))
	for i, one := range commitments {
		owner[one.CommitmentIndex] = -1
		for _, wire := range one.PrivateCommitted {
			owner[wire] = int32(i + 1)
		}
	}
	for i := range a {
		var term, other fr.Element
		term.Mul(&a[i], &secrets.beta)
		other.Mul(&b[i], &secrets.alpha)
		term.Add(&term, &other).Add(&term, &c[i])
		switch owner[i] {
		case 0:
			k.private = append(k.private, *term.Mul(&term, &secrets.deltaInv))
		case -1:
			k.public = append(k.public, *term.Mul(&term, &secrets.gammaInv))
		default:
			to := &k.committed[owner[i]-1]
			*to = append(*to, *term.Mul(&term, &secrets.gammaInv))
		}
	}
	return k
}

// vanishing returns the scalars (τⁿ−1)·τⁱ/δ in the order that gnark's prover has its quotient in: i with its bits
// reversed.
func vanishing(domain *fft.Domain, secrets *toxic) func(i int) fr.Element {
	n := int(domain.Cardinality)
	values, one := make([]fr.Element, n), fr.One()
	values[0].Exp(secrets.t, big.NewInt(int64(n)))
	values[0].Sub(&values[0], &one).Mul(&values[0], &secrets.deltaInv)
	for i := 1; i < n; i++ {
		values[i].Mul(&values[i-1], &secrets.t)
	}
	shift := 64 - bits.TrailingZeros(uint(n))
	return func(i int) fr.Element { return values[bits.Reverse64(uint64(i))>>shift] }
}

// evaluate returns, for every wire, its polynomials A, B and C at τ.
func evaluate(system *cs.R1CS, domain *fft.Domain, tau *fr.Element) (a, b, c []fr.Element) {
	wires := wiresOf(system)
	a, b, c = make([]fr.Element, wires), make([]fr.Element, wires), make([]fr.Element, wires)
	lagrange := srs.LagrangeAt(domain, tau, system.GetNbConstraints())
	add := func(to []fr.Element, terms constraint.LinearExpression, value *fr.Element) {
		for _, term := range terms {
			var product fr.Element
			product.Mul(&system.Coefficients[term.CoeffID()], value)
			to[term.WireID()].Add(&to[term.WireID()], &product)
		}
	}
	rows := system.GetR1CIterator()
	for i, row := 0, rows.Next(); row != nil; i, row = i+1, rows.Next() {
		add(a, row.L, &lagrange[i])
		add(b, row.R, &lagrange[i])
		add(c, row.O, &lagrange[i])
	}
	return a, b, c
}

// nonZero returns the elements that are not zero, in place, and which were.
func nonZero(values []fr.Element) ([]fr.Element, []bool) {
	zero, kept := make([]bool, len(values)), values[:0]
	for i := range values {
		if zero[i] = values[i].IsZero(); !zero[i] {
			kept = append(kept, values[i])
		}
	}
	return kept, zero
}

func at(values []fr.Element) func(i int) fr.Element {
	return func(i int) fr.Element { return values[i] }
}

func scalars(values []fr.Element) []msm.Scalar {
	out := make([]msm.Scalar, len(values))
	for i := range values {
		out[i] = values[i].Bits()
	}
	return out
}
