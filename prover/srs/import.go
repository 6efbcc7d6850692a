package srs

import (
	"crypto/rand"
	"encoding/binary"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"

	"provery/prover/depot"
	"provery/prover/fault"
	"provery/prover/mapfile"
	"provery/prover/msm"
	"provery/prover/pace"
)

// Import checks a powers-of-tau file of snarkjs and makes an SRS of it, which is used from then on. Of a file that is
// larger than needed only what covers domains of 2^power points is taken; 0 takes all of it. Without the file's
// published digest the SRS is marked insecure. made is false where that SRS was there already.
//
// Every point is checked to be on the curve; that they are the powers of one τ is shown by a random linear combination
// of them all and one pairing, and that a prepared file's Lagrange points belong to them by another for each size. What
// cannot be seen from a file is who knows τ: the digest says which ceremony the file is from, and the ceremony's
// contributors are whom one trusts.
func (s Store) Import(path, digest string, power, threads int, tell pace.Tell) (m *Manifest, made bool, err error) {
	p, err := openPtau(path)
	if err != nil {
		return nil, false, err
	}
	defer p.file.Close()
	if power == 0 {
		power = p.power
	}
	if power < 1 || power > p.power {
		return nil, false, fault.New(fault.InvalidInput, "a power of %d was asked for, %s has 1 to %d", power, path, p.power)
	}
	if p.power == 1 {
		return nil, false, p.wrong("its power is 1, which leaves no room for blinding; expected 2 at least")
	}
	origin := originOf(Imported)
	if digest != "" {
		origin = originOf(Ceremony)
	}
	if origin.Source, err = p.identify(digest, tell); err != nil {
		return nil, false, err
	}
	origin.Digest, origin.Contributions = digest, p.contributions
	err = depot.Locked(s.Dir, func() { tell("wait", 0.1) }, func(dir string) error {
		work := &importer{p, dir, power, threads, tell}
		if err := work.powers(); err != nil {
			return err
		}
		if err := work.lagrange(); err != nil {
			return err
		}
		tell("install", 0.97)
		m, made, err = s.install(dir, power, origin)
		return err
	})
	return m, made, err
}

type importer struct {
	*ptau
	dir     string
	power   int
	threads int
	tell    pace.Tell
}

// powers copies the powers and checks them: with random ρᵢ, e(Σ ρᵢ·Pᵢ₊₁, [1]₂) = e(Σ ρᵢ·Pᵢ, [τ]₂) and P₀ = [1]₁ hold for
// other points than the powers of τ with a probability of 2^−128.
func (i *importer) powers() error {
	g2, err := i.tau2()
	if err != nil {
		return err
	}
	count := 1<<i.power + spare
	weights, err := random128(count + 1)
	if err != nil {
		return err
	}
	// weight k belongs to the pair of powers k−1 and k: there is none before the first nor after the last
	weights[0], weights[count] = msm.Scalar{}, msm.Scalar{}
	w, err := newG1(i.dir, i.power, g2)
	if err != nil {
		return err
	}
	defer w.Abandon()
	w.Begin(sectionG1)
	var lower, upper bn254.G1Jac
	for lo := 0; lo < count; lo += chunk {
		part, err := i.points(i.sections[ptauTauG1], int64(lo), int64(min(chunk, count-lo)))
		if err != nil {
			return err
		}
		if lo == 0 {
			if err := i.first(part, g2); err != nil {
				return err
			}
		}
		sum := msm.SumG1(part, weights[lo+1:lo+1+len(part)], i.threads)
		lower.AddAssign(&sum)
		sum = msm.SumG1(part, weights[lo:lo+len(part)], i.threads)
		upper.AddAssign(&sum)
		if err := w.Append(mapfile.Bytes(part)); err != nil {
			return err
		}
		i.tell("check", 0.1+0.4*float64(lo)/float64(count))
	}
	lower.Neg(&lower)
	sums := bn254.BatchJacobianToAffineG1([]bn254.G1Jac{upper, lower})
	same, err := bn254.PairingCheck(sums, g2)
	if err != nil {
		return err
	}
	if !same {
		return i.wrong("its points are not the powers of one number")
	}
	return w.Close()
}

// first checks the powers that everybody knows, and that τ is not one of the numbers that everybody knows.
func (i *importer) first(points []bn254.G1Affine, g2 []bn254.G2Affine) error {
	_, _, base, _ := bn254.Generators()
	if !points[0].Equal(&base) {
		return i.wrong("its powers do not start with the generator")
	}
	if points[1].Equal(&base) || g2[1].Equal(&g2[0]) {
		return i.wrong("its τ is 1: nobody has contributed to it")
	}
	return nil
}

// lagrange copies the Lagrange points of a prepared file and checks them: with random r, Σ rᵢ·[Lᵢ(τ)]₁ = Σ cⱼ·[τʲ]₁ for
// the coefficients c of the polynomial with values r.
func (i *importer) lagrange() error {
	section, there := i.sections[ptauLagrange]
	if !there {
		return nil
	}
	path := filepath.Join(i.dir, fileG1)
	described, err := depot.Describe(path)
	if err != nil {
		return err
	}
	file, err := mapfile.Map(path, described.Bytes, magicG1, new(headG1))
	if err != nil {
		return err
	}
	defer file.Close()
	powers := mapfile.View[bn254.G1Affine](file.Section(sectionG1))
	for k := 1; k <= i.power; k++ {
		weights, err := random128(1 << k)
		if err != nil {
			return err
		}
		w, err := mapfile.Create(filepath.Join(i.dir, lagrangeFile(k)), magicLag, &headLagrange{SRSID: described.SHA256, Power: k})
		if err != nil {
			return err
		}
		sum, err := i.copyLagrange(w, section, k, weights)
		w.Abandon()
		if err != nil {
			return err
		}
		coefficients := make([]fr.Element, len(weights))
		for j, weight := range weights {
			var text [fr.Bytes]byte
			binary.BigEndian.PutUint64(text[16:], weight[1])
			binary.BigEndian.PutUint64(text[24:], weight[0])
			coefficients[j].SetBytes(text[:])
		}
		domain := fft.NewDomain(uint64(len(weights)), fft.WithoutPrecompute())
		domain.FFTInverse(coefficients, fft.DIF, fft.WithNbTasks(i.threads))
		fft.BitReverse(coefficients)
		for j := range weights {
			weights[j] = coefficients[j].Bits()
		}
		expected := msm.SumG1(powers[:len(weights)], weights, i.threads)
		if !sum.Equal(&expected) {
			return i.wrong("its Lagrange points for 2^%d do not belong to its powers", k)
		}
	}
	return nil
}

func (i *importer) copyLagrange(w *mapfile.Writer, section extent, power int, weights []msm.Scalar) (sum bn254.G1Jac, err error) {
	w.Begin(sectionG1)
	for lo := 0; lo < len(weights); lo += chunk {
		part, err := i.points(section, int64(len(weights)-1+lo), int64(min(chunk, len(weights)-lo)))
		if err != nil {
			return sum, err
		}
		one := msm.SumG1(part, weights[lo:lo+len(part)], i.threads)
		sum.AddAssign(&one)
		if err := w.Append(mapfile.Bytes(part)); err != nil {
			return sum, err
		}
		i.tell("check", 0.5+0.45*float64(len(weights)+lo)/float64(int(2)<<i.power))
	}
	return sum, w.Close()
}

// random128 returns numbers below 2^128.
func random128(count int) ([]msm.Scalar, error) {
	text := make([]byte, 16*count)
	if _, err := rand.Read(text); err != nil {
		return nil, err
	}
	out := make([]msm.Scalar, count)
	for i := range out {
		out[i] = msm.Scalar{binary.LittleEndian.Uint64(text[16*i:]), binary.LittleEndian.Uint64(text[16*i+8:])}
	}
	return out, nil
}
