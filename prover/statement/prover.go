package statement

import (
	"fmt"
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"github.com/consensys/gnark/backend"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	fcs "github.com/consensys/gnark/frontend/cs"

	"provery/prover/fault"
	ours "provery/prover/groth16"
	"provery/prover/keys"
	"provery/prover/msm"
)

// prover makes proofs that gnark's verifier accepts, with less work and memory than gnark's own: sums over points are
// those of package msm, one after another and on points that stay in the key's file, and the sum over B in G1 is
// spared by randomising the finished proof (ours.Randomise). What is committed to, and how the commitment
// is hashed, follows gnark v0.16.0, backend/groth16/bn254/prove.go.
type prover struct {
	system      *cs.R1CS
	key         *keys.ProvingKey
	commitments constraint.Groth16Commitments
	threads     int
	begin       func(step string)

	proof groth16.Proof
	// committed are the values behind each commitment, in normal form.
	committed [][]fr.Element
}

func (p *prover) prove(full witness.Witness) (*groth16.Proof, error) {
	p.begin("solve")
	solution, err := p.solve(full)
	if err != nil {
		return nil, err
	}
	wires := []fr.Element(solution.W)
	if err := p.proveKnowledge(wires); err != nil {
		return nil, err
	}
	p.begin("quotient")
	quotient := p.quotient(solution)
	solution = nil
	p.begin("sum z")
	normalise(quotient, nil)
	c := p.sum(p.key.Z, quotient[:len(p.key.Z)])
	quotient = nil

	// the values of wires, in normal form, with a zero at the end for points at infinity
	values := make([]msm.Scalar, len(wires)+1)
	for i := range wires {
		values[i] = wires[i].Bits()
	}
	wires = nil
	plan, _ := msm.Choose(msm.Load{G1: len(p.key.A) + len(p.key.K), G1Tables: 2, G2: len(p.key.B), G2Tables: 1}, 0)
	digits := msm.Cut(values, plan.Width)
	p.begin("sum k")
	k := msm.ViewG1(p.key.K, p.privateWires(len(values)-1), plan).Sum(digits, p.threads)
	c.AddAssign(&k)
	p.begin("sum a")
	a := msm.ViewG1(p.key.A, present(p.key.InfinityA), plan).Sum(digits, p.threads)
	p.begin("sum b")
	b := msm.ViewG2(p.key.B, present(p.key.InfinityB), plan).Sum(digits, p.threads)
	return &p.proof, p.assemble(&a, &b, &c)
}

// solve computes the values of all wires. A commitment is made as soon as what it commits to is known: the circuit
// goes on with its hash.
func (p *prover) solve(full witness.Witness) (*cs.R1CSSolution, error) {
	config, err := backend.NewProverConfig(solidity.WithProverTargetSolidityVerifier(backend.GROTH16))
	if err != nil {
		return nil, err
	}
	p.proof.Commitments = make([]bn254.G1Affine, len(p.commitments))
	p.committed = make([][]fr.Element, len(p.commitments))
	var hashing sync.Mutex // the solver may ask for several commitments at once, and they share the hash function
	commit := func(_ *big.Int, in, out []*big.Int) error {
		i, in := int(in[0].Int64()), in[1:]
		hashed := in[:len(p.commitments[i].PublicAndCommitmentCommitted)]
		p.committed[i] = make([]fr.Element, len(in)-len(hashed))
		for j, value := range in[len(hashed):] {
			p.committed[i][j].SetBigInt(value)
		}
		normalise(p.committed[i], p.key.Commitments[i].Basis)
		sum := p.sum(p.key.Commitments[i].Basis, p.committed[i])
		p.proof.Commitments[i].FromJacobian(&sum)
		hashing.Lock()
		defer hashing.Unlock()
		config.HashToFieldFn.Reset()
		config.HashToFieldFn.Write(constraint.SerializeCommitment(p.proof.Commitments[i].Marshal(), hashed, fr.Bytes))
		var value fr.Element
		value.SetBytes(config.HashToFieldFn.Sum(nil))
		value.BigInt(out[0])
		return nil
	}
	option := solver.OverrideHint(solver.GetHintID(fcs.Bsb22CommitmentComputePlaceholder), commit)
	solution, err := p.system.Solve(full, option)
	if err != nil {
		return nil, fault.New(fault.InvalidWitness, "the inputs do not satisfy the circuit: %s", fault.Shorten(err.Error(), 300))
	}
	found, ok := solution.(*cs.R1CSSolution)
	if !ok {
		return nil, fmt.Errorf("the solver gave a %T", solution)
	}
	return found, nil
}

// proveKnowledge shows that what is in the commitments is known, for all of them in one point.
func (p *prover) proveKnowledge(wires []fr.Element) error {
	if len(p.commitments) == 0 {
		return nil
	}
	points := make([]bn254.G1Affine, len(p.commitments))
	var hashes []byte
	for i := range p.commitments {
		sum := p.sum(p.key.Commitments[i].BasisExpSigma, p.committed[i])
		points[i].FromJacobian(&sum)
		hashes = append(hashes, wires[p.commitments[i].CommitmentIndex].Marshal()...)
	}
	challenge, err := fr.Hash(hashes, []byte("G16-BSB22"), 1)
	if err != nil {
		return err
	}
	_, err = p.proof.CommitmentPok.Fold(points, challenge[0], ecc.MultiExpConfig{NbTasks: 1})
	p.committed = nil
	return err
}

// quotient returns the coefficients of (A·B − C)/(Xⁿ − 1), in bit-reversed order as the key's points have them.
func (p *prover) quotient(solution *cs.R1CSSolution) []fr.Element {
	domain := fft.NewDomain(uint64(p.system.GetNbConstraints()), fft.WithoutPrecompute())
	n := int(domain.Cardinality)
	coset := func(values *fr.Vector) fr.Vector {
		full := append(*values, make(fr.Vector, n-len(*values))...)
		*values = nil
		domain.FFTInverse(full, fft.DIF, fft.WithNbTasks(p.threads))
		domain.FFT(full, fft.DIT, fft.OnCoset(), fft.WithNbTasks(p.threads))
		return full
	}
	a, b := coset(&solution.A), coset(&solution.B)
	a.Mul(a, b)
	b = nil
	c := coset(&solution.C)
	a.Sub(a, c)
	// Xⁿ − 1 is the same everywhere on the coset
	var inverse, one fr.Element
	one.SetOne()
	inverse.Exp(domain.FrMultiplicativeGen, big.NewInt(int64(n)))
	inverse.Sub(&inverse, &one).Inverse(&inverse)
	a.ScalarMul(a, &inverse)
	domain.FFTInverse(a, fft.DIF, fft.OnCoset(), fft.WithNbTasks(p.threads))
	return a
}

// sum computes Σ kᵢ·Pᵢ for scalars in normal form.
func (p *prover) sum(points []bn254.G1Affine, scalars []fr.Element) bn254.G1Jac {
	return msm.SumG1(points, scalars, p.threads)
}

// normalise brings values into normal form, in place. Those of points at infinity, where points are given, become zero.
func normalise(values []fr.Element, points []bn254.G1Affine) {
	for i := range values {
		if points != nil && points[i].IsInfinity() {
			values[i].SetZero()
		}
		values[i] = values[i].Bits()
	}
}

// privateWires lists the wires that the key's K points belong to; zero is where a value of zero is found.
func (p *prover) privateWires(zero int) []uint32 {
	skip := make([]bool, zero)
	for i := range p.system.GetNbPublicVariables() {
		skip[i] = true
	}
	for _, one := range p.commitments {
		skip[one.CommitmentIndex] = true
		for _, wire := range one.PrivateCommitted {
			skip[wire] = true
		}
	}
	wires := present(skip)
	for i := range wires {
		if p.key.K[i].IsInfinity() {
			wires[i] = uint32(zero)
		}
	}
	return wires
}

// assemble makes the proof from its sums.
func (p *prover) assemble(a *bn254.G1Jac, b *bn254.G2Jac, c *bn254.G1Jac) error {
	a.AddMixed(&p.key.Alpha1)
	b.AddMixed(&p.key.Beta2)
	if err := ours.Randomise(a, b, c, &p.key.Delta2); err != nil {
		return err
	}
	p.proof.Ar.FromJacobian(a)
	p.proof.Bs.FromJacobian(b)
	p.proof.Krs.FromJacobian(c)
	return nil
}

// present lists the places of those that are false.
func present(absent []bool) []uint32 {
	out := make([]uint32, 0, len(absent))
	for i, skip := range absent {
		if !skip {
			out = append(out, uint32(i))
		}
	}
	return out
}
