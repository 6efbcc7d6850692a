package groth16

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/zkey"
)

// ProvingKey is a key laid out for proving many times. It is safe for concurrent use.
type ProvingKey struct {
	Verifying VerifyingKey
	NVars     int

	beta1, delta1 bn254.G1Affine
	a, b          *matrix
	quotient      *quotient
	tables        tables
	lock          sync.RWMutex
}

// tables are the key's points, with as many multiples as memory allows.
type tables struct {
	a, b1, c, h *msm.G1Table
	b2          *msm.G2Table
	wires, hs   msm.Plan
}

// NewProvingKey lays out a parsed key. extra is how many bytes may be spent on multiples of its points; 0
// keeps the points alone, which is right for a key used once.
func NewProvingKey(key *zkey.Key, extra int64, threads int) (*ProvingKey, error) {
	pk := &ProvingKey{NVars: key.NVars, beta1: key.Beta1, delta1: key.Delta1}
	pk.Verifying = VerifyingKey{key.Alpha1, key.Beta2, key.Gamma2, key.Delta2, key.IC}
	pk.a = newMatrix(key.Coefficients, 0, key.DomainSize)
	pk.b = newMatrix(key.Coefficients, 1, key.DomainSize)
	var err error
	if pk.quotient, err = newQuotient(key.DomainSize); err != nil {
		return nil, err
	}
	finite := func(points []bn254.G1Affine) (n int) {
		for i := range points {
			if !points[i].IsInfinity() {
				n++
			}
		}
		return
	}
	b := finite(key.B1)
	witnessLoad := msm.Load{G1: finite(key.A) + b + finite(key.C), G1Tables: 3, G2: b, G2Tables: 1}
	wires, hs := choosePlans(witnessLoad, msm.Load{G1: key.DomainSize, G1Tables: 1}, extra)
	pk.tables = tables{
		a:     msm.NewG1(key.A, 0, wires, threads),
		b1:    msm.NewG1(key.B1, 0, wires, threads),
		b2:    msm.NewG2(key.B2, 0, wires, threads),
		c:     msm.NewG1(key.C, key.NPublic+1, wires, threads),
		h:     msm.NewG1(key.H, 0, hs, threads),
		wires: wires, hs: hs,
	}
	return pk, nil
}

// choosePlans divides the memory for multiples between the points taken with the witness and the H points,
// in proportion to their size.
func choosePlans(witness, h msm.Load, extra int64) (wires, hs msm.Plan) {
	share := int64(float64(extra) * float64(witness.Bytes()) / float64(witness.Bytes()+h.Bytes()))
	wires, used := msm.Choose(witness, share)
	hs, _ = msm.Choose(h, extra-used)
	return
}

// Widen recomputes the tables with up to extra bytes of multiples; proofs may go on meanwhile.
func (pk *ProvingKey) Widen(extra int64, threads int) {
	pk.lock.RLock()
	t := pk.tables
	pk.lock.RUnlock()
	wires, hs := choosePlans(
		msm.Load{G1: t.a.Count() + t.b1.Count() + t.c.Count(), G1Tables: 3, G2: t.b2.Count(), G2Tables: 1},
		msm.Load{G1: t.h.Count(), G1Tables: 1}, extra)
	if wires == t.wires && hs == t.hs {
		return
	}
	wide := tables{t.a.Replan(wires, threads), t.b1.Replan(wires, threads), t.c.Replan(wires, threads),
		t.h.Replan(hs, threads), t.b2.Replan(wires, threads), wires, hs}
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
	return fields + entries + t.a.Bytes() + t.b1.Bytes() + t.b2.Bytes() + t.c.Bytes() + t.h.Bytes()
}

// Step names a stage of a proof in progress: Done of Total stages are finished.
type Step struct {
	Name        string
	Done, Total int
}

// Prove makes a proof and verifies it. The witness is in normal form, the constant one first. Errors: of kind
// invalid_witness if it has the wrong length or does not satisfy the constraints (then the proof would not
// verify), cancelled if ctx ends. step, if not nil, is told of progress. The proof's randomness is the
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
	proof, err := pk.assemble(sums)
	if err != nil {
		return nil, err
	}
	step(Step{"verify", 6, 7})
	valid, err := pk.Verifying.Verify(proof, witness[1:len(pk.Verifying.IC)])
	if err != nil {
		return nil, err
	}
	if !valid {
		return nil, fault.New(fault.InvalidWitness, "the witness does not satisfy the circuit's constraints: a proof made from it does not verify")
	}
	return proof, nil
}

// parts are the five multi-scalar multiplications of a proof.
type parts struct {
	a, b1, c, h bn254.G1Jac
	b2          bn254.G2Jac
}

func (pk *ProvingKey) sums(ctx context.Context, t *tables, witness []msm.Scalar, threads int, step func(Step)) (*parts, error) {
	var p parts
	var group sync.WaitGroup
	var lock sync.Mutex
	var crash any
	done := 0
	guard := func(name string, work func()) bool {
		if ctx.Err() != nil {
			return false
		}
		work()
		lock.Lock()
		defer lock.Unlock()
		done++
		step(Step{name, done, 7})
		return true
	}
	branch := func(work func()) {
		group.Add(1)
		run := func() {
			defer group.Done()
			defer func() {
				if r := recover(); r != nil {
					lock.Lock()
					crash = r
					lock.Unlock()
				}
			}()
			work()
		}
		if threads > 1 {
			go run()
		} else {
			run()
		}
	}
	branch(func() {
		var scalars fr.Vector
		_ = guard("quotient", func() { scalars = pk.hScalars(witness, threads) }) &&
			guard("msm_h", func() { p.h = t.h.Sum(msm.Cut(scalars, t.hs.Width), threads) })
	})
	branch(func() {
		digits := msm.Cut(witness, t.wires.Width)
		_ = guard("msm_b2", func() { p.b2 = t.b2.Sum(digits, threads) }) &&
			guard("msm_a", func() { p.a = t.a.Sum(digits, threads) }) &&
			guard("msm_b1", func() { p.b1 = t.b1.Sum(digits, threads) }) &&
			guard("msm_c", func() { p.c = t.c.Sum(digits, threads) })
	})
	group.Wait()
	if crash != nil {
		panic(crash)
	}
	if ctx.Err() != nil {
		return nil, fault.New(fault.Cancelled, "cancelled while proving")
	}
	return &p, nil
}

func (pk *ProvingKey) hScalars(witness []msm.Scalar, threads int) fr.Vector {
	a, b := make(fr.Vector, len(pk.quotient.shift)), make(fr.Vector, len(pk.quotient.shift))
	pk.a.times(witness, a, threads)
	pk.b.times(witness, b, threads)
	pk.quotient.compute(a, b, threads)
	return a
}

// assemble blinds the sums: A = α + ΣA + r·δ, B = β + ΣB + s·δ, C = ΣC + ΣH + s·A + r·B − r·s·δ.
func (pk *ProvingKey) assemble(p *parts) (*Proof, error) {
	var r, s, rs fr.Element
	for _, blind := range []*fr.Element{&r, &s} {
		n, err := rand.Int(rand.Reader, fr.Modulus())
		if err != nil {
			return nil, err
		}
		blind.SetBigInt(n)
	}
	rs.Mul(&r, &s)
	rs.Neg(&rs)
	rBig, sBig := r.BigInt(newInt()), s.BigInt(newInt())

	var delta, term bn254.G1Jac
	delta.FromAffine(&pk.delta1)
	a := p.a
	a.AddMixed(&pk.Verifying.Alpha1)
	a.AddAssign(term.ScalarMultiplication(&delta, rBig))
	b1 := p.b1
	b1.AddMixed(&pk.beta1)
	b1.AddAssign(term.ScalarMultiplication(&delta, sBig))
	c := p.c
	c.AddAssign(&p.h)
	c.AddAssign(term.ScalarMultiplication(&a, sBig))
	c.AddAssign(term.ScalarMultiplication(&b1, rBig))
	c.AddAssign(term.ScalarMultiplication(&delta, rs.BigInt(newInt())))

	var delta2, term2 bn254.G2Jac
	delta2.FromAffine(&pk.Verifying.Delta2)
	b2 := p.b2
	b2.AddMixed(&pk.Verifying.Beta2)
	b2.AddAssign(term2.ScalarMultiplication(&delta2, sBig))

	proof := &Proof{}
	proof.A.FromJacobian(&a)
	proof.B.FromJacobian(&b2)
	proof.C.FromJacobian(&c)
	return proof, nil
}
