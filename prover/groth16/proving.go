package groth16

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/crew"
	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/zkey"
)

// ProvingKey is a key laid out for proving many times. It is safe for concurrent use.
type ProvingKey struct {
	Verifying VerifyingKey
	NVars     int

	a, b     *matrix
	quotient *quotient
	tables   tables
	lock     sync.RWMutex
}

// tables are the key's points, with as many multiples as memory allows. The key's B₁ points are not among them:
// see Randomise.
type tables struct {
	a *msm.G1Table
	// c holds the points of C, then those of H: both go into the same sum.
	c *msm.G1Table
	b *msm.G2Table
	// plans: ab of a and b, whose scalars are the witness; cs of c.
	ab, cs msm.Plan
}

// NewProvingKey lays out a parsed key. extra is how many bytes may be spent on multiples of its points; 0
// keeps the points alone, which is right for a key used once.
func NewProvingKey(key *zkey.Key, extra int64, threads int) (*ProvingKey, error) {
	pk := &ProvingKey{NVars: key.NVars}
	pk.Verifying = VerifyingKey{key.Alpha1, key.Beta2, key.Gamma2, key.Delta2, key.IC}
	pk.a = newMatrix(key.Coefficients, 0, key.DomainSize)
	pk.b = newMatrix(key.Coefficients, 1, key.DomainSize)
	var err error
	if pk.quotient, err = newQuotient(key.DomainSize); err != nil {
		return nil, err
	}
	b2 := msm.Points(key.B2, 0)
	a := msm.Points(key.A, 0)
	c := append(msm.Points(key.C, key.NPublic+1), msm.Points(key.H, key.NVars)...)
	ab, cs := choosePlans(len(a), len(b2), len(c), extra)
	pk.tables = tables{
		a:  msm.NewG1(a, ab, threads),
		b:  msm.NewG2(b2, ab, threads),
		c:  msm.NewG1(c, cs, threads),
		ab: ab, cs: cs,
	}
	return pk, nil
}

// choosePlans divides the memory for multiples between the tables, in proportion to their size.
func choosePlans(a, b, c int, extra int64) (ab, cs msm.Plan) {
	witness, rest := msm.Load{G1: a, G1Tables: 1, G2: b, G2Tables: 1}, msm.Load{G1: c, G1Tables: 1}
	share := int64(float64(extra) * float64(witness.Bytes()) / float64(witness.Bytes()+rest.Bytes()))
	ab, used := msm.Choose(witness, share)
	cs, _ = msm.Choose(rest, extra-used)
	return
}

// Widen recomputes the tables with up to extra bytes of multiples; proofs may go on meanwhile.
func (pk *ProvingKey) Widen(extra int64, threads int) {
	pk.lock.RLock()
	t := pk.tables
	pk.lock.RUnlock()
	ab, cs := choosePlans(t.a.Count(), t.b.Count(), t.c.Count(), extra)
	if ab == t.ab && cs == t.cs {
		return
	}
	wide := tables{t.a.Replan(ab, threads), t.c.Replan(cs, threads), t.b.Replan(ab, threads), ab, cs}
	pk.lock.Lock()
	pk.tables = wide
	pk.lock.Unlock()
}

// Bytes is about how much memory the key takes.
func (pk *ProvingKey) Bytes() int64 {
	pk.lock.RLock()
	t := pk.tables
	pk.lock.RUnlock()
	// the domain keeps its twiddle factors and coset tables, together about four times its size
	fields := int64(6*len(pk.quotient.shift)+len(pk.a.values)+len(pk.b.values)) * 32
	entries := int64(len(pk.a.entries)+len(pk.b.entries))*8 + int64(len(pk.a.rowEnds)+len(pk.b.rowEnds))*4
	return fields + entries + t.a.Bytes() + t.b.Bytes() + t.c.Bytes()
}

// Step names a stage of a proof in progress: Done of Total stages are finished.
type Step struct {
	Name        string
	Done, Total int
}

// steps of a proof: the quotient and three sums.
const steps = 4

// Prove makes a proof, which the caller must verify: of a witness that does not satisfy the constraints it makes one
// that does not hold. The witness is in normal form, the constant one first. Errors: of kind invalid_witness if it has
// the wrong length, cancelled if ctx ends. step, if not nil, is told of progress. The proof's randomness is the
// system's.
func (pk *ProvingKey) Prove(ctx context.Context, witness []msm.Scalar, threads int, step func(Step)) (*Proof, error) {
	if len(witness) != pk.NVars {
		return nil, fault.New(fault.InvalidWitness, "the witness has %d values, the key's circuit %d signals", len(witness), pk.NVars)
	}
	if step == nil {
		step = func(Step) {}
	}
	pk.lock.RLock()
	t := pk.tables
	pk.lock.RUnlock()

	sums, err := pk.sums(ctx, &t, witness, threads, step)
	if err != nil {
		return nil, err
	}
	return pk.assemble(sums)
}

// parts are the three multi-scalar multiplications of a proof.
type parts struct {
	a, c bn254.G1Jac
	b    bn254.G2Jac
}

func (pk *ProvingKey) sums(ctx context.Context, t *tables, witness []msm.Scalar, threads int, step func(Step)) (*parts, error) {
	var p parts
	var branches crew.Crew
	var lock sync.Mutex
	done := 0
	guard := func(name string, work func()) bool {
		if ctx.Err() != nil {
			return false
		}
		work()
		lock.Lock()
		defer lock.Unlock()
		done++
		step(Step{name, done, steps})
		return true
	}
	branch := func(work func()) {
		if threads > 1 {
			branches.Go(work)
		} else {
			work()
		}
	}
	branch(func() {
		var scalars []msm.Scalar
		_ = guard("quotient", func() { scalars = pk.scalars(witness, threads) }) &&
			guard("msm_c", func() { p.c = t.c.Sum(msm.Cut(scalars, t.cs.Width), threads) })
	})
	branch(func() {
		digits := msm.Cut(witness, t.ab.Width)
		_ = guard("msm_b", func() { p.b = t.b.Sum(digits, threads) }) &&
			guard("msm_a", func() { p.a = t.a.Sum(digits, threads) })
	})
	branches.Wait()
	if ctx.Err() != nil {
		return nil, fault.New(fault.Cancelled, "cancelled while proving")
	}
	return &p, nil
}

// scalars are those of the table c: the witness, then the quotient's.
func (pk *ProvingKey) scalars(witness []msm.Scalar, threads int) []msm.Scalar {
	a, b := make(fr.Vector, len(pk.quotient.shift)), make(fr.Vector, len(pk.quotient.shift))
	pk.a.times(witness, a, threads)
	pk.b.times(witness, b, threads)
	pk.quotient.compute(a, b, threads)
	all := make([]msm.Scalar, len(witness)+len(a))
	copy(all, witness)
	for i := range a {
		all[len(witness)+i] = a[i]
	}
	return all
}

// assemble makes the proof from its sums: A₀ = α + ΣA, B₀ = β + ΣB, C₀ = ΣC + ΣH, randomised.
func (pk *ProvingKey) assemble(p *parts) (*Proof, error) {
	a, c, b := p.a, p.c, p.b
	a.AddMixed(&pk.Verifying.Alpha1)
	b.AddMixed(&pk.Verifying.Beta2)
	if err := Randomise(&a, &b, &c, &pk.Verifying.Delta2); err != nil {
		return nil, err
	}
	proof := &Proof{}
	proof.A.FromJacobian(&a)
	proof.B.FromJacobian(&b)
	proof.C.FromJacobian(&c)
	return proof, nil
}

// Randomise turns a proof made without blinding, A₀, B₀ and C₀, into one that hides its witness: A = A₀/r,
// B = r·(B₀ + s·δ), C = C₀ + s·A₀ for random r ≠ 0 and s ≠ 0. Terms of the verifying equation beside A, B and C, such
// as commitments, stay as they are.
//
// The result is distributed as a proof blinded the usual way (A = A₀ + r·δ, B = B₀ + s·δ): A and B are uniform and
// independent, since A₀ ≠ 0 but for the key's trapdoor, and the verifying equation fixes C. So nothing is learnt
// about the witness, and the multi-scalar multiplication over B₁, which only the usual C needs, is saved.
// Baghery, Kohlweiss, Siim, Volkhov: Another look at extraction and randomization of Groth's zk-SNARK (FC 2021).
func Randomise(a *bn254.G1Jac, b *bn254.G2Jac, c *bn254.G1Jac, delta *bn254.G2Affine) error {
	if a.Z.IsZero() {
		return fault.New(fault.InvalidKey, "the sum over the key's A points is zero: whoever made this key made it for that")
	}
	r, err := random()
	if err != nil {
		return err
	}
	s, err := random()
	if err != nil {
		return err
	}
	var inverse fr.Element
	inverse.Inverse(r)
	rBig, sBig := r.BigInt(newInt()), s.BigInt(newInt())
	var term bn254.G1Jac
	c.AddAssign(term.ScalarMultiplication(a, sBig))
	a.ScalarMultiplication(a, inverse.BigInt(newInt()))
	var shift bn254.G2Jac
	shift.FromAffine(delta)
	b.AddAssign(shift.ScalarMultiplication(&shift, sBig))
	b.ScalarMultiplication(b, rBig)
	return nil
}

// random is a uniform scalar other than zero.
func random() (*fr.Element, error) {
	for {
		n, err := rand.Int(rand.Reader, fr.Modulus())
		if err != nil {
			return nil, err
		}
		if x := new(fr.Element).SetBigInt(n); !x.IsZero() {
			return x, nil
		}
	}
}
