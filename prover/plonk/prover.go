package plonk

import (
	"fmt"
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	fcs "github.com/consensys/gnark/frontend/cs"

	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/pace"
)

// spare is how many coefficients blinding adds to a column at most: two to wires, three to the grand product.
const spare = 3

// ProveSteps are those of a proof, with the seconds that a million gates take on two cores.
var ProveSteps = []pace.Step{
	pace.Usual("load", "load", 0.4),
	pace.Usual("solve", "solve", 1.5),
	pace.Usual("wires", "prove", 3.6),
	pace.Usual("product", "prove", 1.5),
	pace.Usual("quotient", "prove", 7),
	pace.Usual("commit quotient", "prove", 3.7),
	pace.Usual("open", "prove", 2.7),
	pace.Usual("verify", "verify", 0.01),
}

type prover struct {
	key     *Key
	threads int
	hashes  hashes
	drawn   *challenges
	domain  *fft.Domain
	n       int
	public  []fr.Element

	proof gnark.Proof
	// wires are l, r, o and z the grand product: values first, then blinded coefficients.
	wires [3][]fr.Element
	z     []fr.Element
	// committed are the columns behind commitments, values first, then coefficients; hashed what the circuit got for them.
	committed [][]fr.Element
	hashed    []fr.Element
	// randomizers blind the parts of the quotient.
	randomizers [2]fr.Element
	scratch     []msm.Scalar
}

// Prove makes a proof. begin is told the step at work: those of ProveSteps but load and verify.
func Prove(system *cs.SparseR1CS, key *Key, full witness.Witness, threads int, begin func(step string)) (*gnark.Proof, error) {
	h, err := newHashes()
	if err != nil {
		return nil, err
	}
	p := &prover{key: key, threads: threads, hashes: h, drawn: newChallenges(h), n: 1 << Power(system)}
	if key.wide != nil {
		p.domain = key.wide.domain
	} else {
		p.domain = fft.NewDomain(uint64(p.n), fft.WithoutPrecompute())
	}
	for i := range p.randomizers {
		if _, err := p.randomizers[i].SetRandom(); err != nil {
			return nil, err
		}
	}
	begin("solve")
	if err := p.solve(system, full); err != nil {
		return nil, err
	}
	rows := system.GetNbConstraints() + system.GetNbPublicVariables()
	begin("wires")
	if err := p.commitWires(rows); err != nil {
		return nil, err
	}
	begin("product")
	if err := p.grandProduct(); err != nil {
		return nil, err
	}
	begin("quotient")
	quotient, err := p.quotient(system.CommitmentInfo.(constraint.PlonkCommitments))
	if err != nil {
		return nil, err
	}
	begin("commit quotient")
	if err := p.commitQuotient(quotient); err != nil {
		return nil, err
	}
	begin("open")
	return &p.proof, p.open(quotient)
}

// solve computes the values of the wires. A commitment is made as soon as what it commits to is known: the circuit
// goes on with its hash.
func (p *prover) solve(system *cs.SparseR1CS, full witness.Witness) error {
	vector, ok := full.Vector().(fr.Vector)
	if !ok {
		return fmt.Errorf("the witness is a %T", full.Vector())
	}
	offset := system.GetNbPublicVariables()
	p.public = vector[:offset]
	info := system.CommitmentInfo.(constraint.PlonkCommitments)
	p.committed, p.hashed = make([][]fr.Element, len(info)), make([]fr.Element, len(info))
	p.proof.Bsb22Commitments = make([]kzg.Digest, len(info))
	var one sync.Mutex // the solver may ask for several commitments at once, and they share memory
	hint := func(_ *big.Int, in, out []*big.Int) error {
		one.Lock()
		defer one.Unlock()
		i, in := int(in[0].Int64()), in[1:]
		values := make([]fr.Element, p.n)
		for j := range in {
			values[offset+info[i].Committed[j]].SetBigInt(in[j])
		}
		// the selector is zero in these two rows: they blind
		for _, row := range []int{info[i].CommitmentIndex, system.GetNbConstraints() - 1} {
			if _, err := values[offset+row].SetRandom(); err != nil {
				return err
			}
		}
		p.committed[i] = values
		sum := p.commit(false, values)
		p.proof.Bsb22Commitments[i].FromJacobian(&sum)
		p.hashed[i] = p.hashes.hashCommitment(&p.proof.Bsb22Commitments[i])
		p.hashed[i].BigInt(out[0])
		return nil
	}
	solution, err := system.Solve(full, solver.OverrideHint(solver.GetHintID(fcs.Bsb22CommitmentComputePlaceholder), hint))
	if err != nil {
		return fault.New(fault.InvalidWitness, "the inputs do not satisfy the circuit: %s", fault.Shorten(err.Error(), 300))
	}
	found, ok := solution.(*cs.SparseR1CSSolution)
	if !ok || len(found.L) != p.n || len(found.R) != p.n || len(found.O) != p.n {
		return fmt.Errorf("the solver gave a %T for a domain of %d", solution, p.n)
	}
	p.wires = [3][]fr.Element{found.L, found.R, found.O}
	return nil
}

// commit commits to values in the domain, or to coefficients.
func (p *prover) commit(coefficients bool, values []fr.Element) bn254.G1Jac {
	if p.scratch == nil {
		p.scratch = make([]msm.Scalar, p.n+spare)
	}
	points := p.key.SRS.Lagrange
	if coefficients {
		points = p.key.SRS.G1
	}
	if p.key.wide == nil {
		return commit(points, values, p.scratch, p.threads)
	}
	table := p.key.wide.lagrange
	if coefficients {
		table = p.key.wide.powers
	}
	return commitWide(table, values, p.scratch, p.threads)
}

// commitWires commits to l, r and o and blinds them. The rows beyond the last gate hold the same value in all of them,
// and their points have been added up beforehand.
func (p *prover) commitWires(rows int) error {
	for i := range p.wires {
		sum := p.commit(false, p.wires[i][:rows])
		if rows < p.n {
			var rest bn254.G1Jac
			rest.FromAffine(&p.key.padding)
			rest.ScalarMultiplication(&rest, p.wires[i][rows].BigInt(new(big.Int)))
			sum.AddAssign(&rest)
		}
		blinding, err := p.blind(&sum, 2)
		if err != nil {
			return err
		}
		p.proof.LRO[i].FromJacobian(&sum)
		// the values are needed once more, for the grand product
		p.wires[i] = append(p.wires[i], blinding...)
	}
	return p.drawn.wires(p.key.VK, p.public, &p.proof)
}

// blind draws the coefficients of b and adds the commitment to b·(Xⁿ−1).
func (p *prover) blind(sum *bn254.G1Jac, count int) ([]fr.Element, error) {
	blinding := make([]fr.Element, count)
	for i := range blinding {
		if _, err := blinding[i].SetRandom(); err != nil {
			return nil, err
		}
		var high, low bn254.G1Jac
		high.FromAffine(&p.key.SRS.G1[p.n+i])
		low.FromAffine(&p.key.SRS.G1[i])
		high.SubAssign(&low)
		high.ScalarMultiplication(&high, blinding[i].BigInt(new(big.Int)))
		sum.AddAssign(&high)
	}
	return blinding, nil
}

// interpolate turns values, followed by the coefficients of b, into the coefficients of their polynomial plus b·(Xⁿ−1).
func (p *prover) interpolate(values []fr.Element) {
	low := values[:p.n]
	p.domain.FFTInverse(low, fft.DIF, fft.WithNbTasks(p.threads))
	fft.BitReverse(low)
	for i, b := range values[p.n:] {
		low[i].Sub(&low[i], &b)
	}
}

// powersOfRoot are ωⁱ.
func (p *prover) powersOfRoot() []fr.Element {
	if p.key.wide != nil {
		return p.key.wide.roots
	}
	roots := make([]fr.Element, p.n)
	parallel(p.n, p.threads, func(lo, hi int) {
		root := power(&p.domain.Generator, lo)
		for i := lo; i < hi; i++ {
			roots[i] = root
			root.Mul(&root, &p.domain.Generator)
		}
	})
	return roots
}

// grandProduct computes z, which is 1 in the first row and in each next one the row before times
// Π (wᵢ+β·idᵢ+γ)/(wᵢ+β·sᵢ+γ), commits to it and draws α.
func (p *prover) grandProduct() error {
	n, roots := p.n, p.powersOfRoot()
	// a place is row + n·wire; the place's name is uʷⁱʳᵉ·ωʳᵒʷ, here times β
	var shifts [3]fr.Element
	shifts[0] = p.drawn.beta
	for i := 1; i < 3; i++ {
		shifts[i].Mul(&shifts[i-1], &p.domain.FrMultiplicativeGen)
	}
	above, below := make([]fr.Element, n), make([]fr.Element, n, n+spare)
	parallel(n, p.threads, func(lo, hi int) {
		var t fr.Element
		for i := lo; i < hi; i++ {
			above[i].SetOne()
			below[i].SetOne()
			for j := range p.wires {
				wire := p.wires[j][i]
				wire.Add(&wire, &p.drawn.gamma)
				t.Mul(&roots[i], &shifts[j]).Add(&t, &wire)
				above[i].Mul(&above[i], &t)
				place := int(p.key.permutation[j*n+i])
				t.Mul(&roots[place&(n-1)], &shifts[place/n]).Add(&t, &wire)
				below[i].Mul(&below[i], &t)
			}
		}
	})
	scratch := roots
	if p.key.wide != nil {
		scratch = make([]fr.Element, n) // the roots are for the next proof, too
	}
	parallel(n, p.threads, func(lo, hi int) { invert(below[lo:hi], scratch[lo:hi]) })
	row := fr.One()
	for i := range n {
		above[i].Mul(&above[i], &below[i])
		below[i] = row
		row.Mul(&row, &above[i])
	}
	if !row.IsOne() {
		return fault.New(fault.Internal, "the wires do not respect the circuit's permutation")
	}
	p.z = below
	sum := p.commit(false, p.z)
	blinding, err := p.blind(&sum, 3)
	if err != nil {
		return err
	}
	p.z = append(p.z, blinding...)
	p.proof.Z.FromJacobian(&sum)
	return p.drawn.product(&p.proof)
}
