// Package zkey reads and writes Groth16 proving keys over BN254 in the snarkjs .zkey format.
//
// Layout (container: package binfile, version 1). All numbers are little-endian.
//
//	1  u32 protocol: 1 groth16, 2 plonk, 10 fflonk
//	2  u32 32, p (32 bytes), u32 32, r (32 bytes), u32 nVars, u32 nPublic, u32 domainSize,
//	   α₁ β₁ (G1) β₂ γ₂ (G2) δ₁ (G1) δ₂ (G2)
//	3  IC, nPublic+1 points of G1
//	4  u32 count, then per coefficient u32 matrix (0 A, 1 B), u32 constraint, u32 signal, value·R² mod r
//	5  A, nVars points of G1         6  B₁, nVars points of G1       7  B₂, nVars points of G2
//	8  C, nVars−nPublic−1 points of G1                               9  H, domainSize points of G1
//	10 circuit hash (64 bytes), u32 number of contributions, contributions
//
// A point is affine, x then y, each coordinate 32 bytes in Montgomery form; G2 coordinates are real part
// first; all zero is infinity. R is 2^256.
package zkey

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/binfile"
	"provery/prover/fault"
	"provery/prover/msm"
)

const (
	protocolSection = 1
	headerSection   = 2
	icSection       = 3
	coeffsSection   = 4
	aSection        = 5
	b1Section       = 6
	b2Section       = 7
	cSection        = 8
	hSection        = 9
	historySection  = 10

	g1Bytes     = 64
	g2Bytes     = 128
	coeffBytes  = 44
	headerBytes = 4 + 32 + 4 + 32 + 12 + 3*g1Bytes + 3*g2Bytes

	// maxDomainLog leaves room for the coset of twice the size; r−1 is divisible by 2^28.
	maxDomainLog = 27
)

// Coefficient is one entry of the constraint matrices A (Matrix 0) or B (Matrix 1).
type Coefficient struct {
	Matrix, Constraint, Signal uint32
	Value                      fr.Element
}

// Key is a parsed proving key.
type Key struct {
	// NVars counts signals including the constant one, NPublic the public ones without it.
	NVars, NPublic, DomainSize int
	Alpha1, Beta1, Delta1      bn254.G1Affine
	Beta2, Gamma2, Delta2      bn254.G2Affine
	IC, A, B1, C, H            []bn254.G1Affine
	B2                         []bn254.G2Affine
	Coefficients               []Coefficient
	CircuitHash                []byte
	Contributions              int
}

// Summary is what can be said of a key without its points.
type Summary struct {
	Protocol      string `json:"protocol"`
	Curve         string `json:"curve"`
	NVars         int    `json:"n_vars"`
	NPublic       int    `json:"n_public"`
	DomainSize    int    `json:"domain_size"`
	Coefficients  int    `json:"coefficients"`
	Bytes         int64  `json:"bytes"`
	SHA256        string `json:"sha256"`
	Contributions int    `json:"contributions"`
}

// Summarize describes a key parsed from data.
func (k *Key) Summarize(data []byte) Summary {
	sum := sha256.Sum256(data)
	return Summary{"groth16", "bn128", k.NVars, k.NPublic, k.DomainSize, len(k.Coefficients), int64(len(data)),
		hex.EncodeToString(sum[:]), k.Contributions}
}

// Parse reads a proving key and checks its structure: section table, lengths, field moduli, ranges of every
// number, points on their curves and, for G2, in the subgroup of order r. It allocates in proportion to
// len(data). Errors are of kind invalid_key; keys of other protocols and curves are named.
func Parse(data []byte) (*Key, error) {
	file, err := binfile.Parse(data, "zkey", 2, fault.InvalidKey)
	if err != nil {
		return nil, err
	}
	if err := checkProtocol(file); err != nil {
		return nil, err
	}
	key := &Key{}
	if err := key.readHeader(file); err != nil {
		return nil, err
	}
	if err := key.readCoefficients(file); err != nil {
		return nil, err
	}
	if err := key.readPoints(file); err != nil {
		return nil, err
	}
	history, err := file.Section(historySection, "contributions")
	if err != nil {
		return nil, err
	}
	if len(history) < 68 {
		return nil, fault.New(fault.InvalidKey, "zkey section 10 (contributions) has %d bytes, expected at least 68", len(history))
	}
	key.CircuitHash = append([]byte(nil), history[:64]...)
	key.Contributions = int(binary.LittleEndian.Uint32(history[64:]))
	return key, nil
}

func checkProtocol(file *binfile.File) error {
	section, err := file.Sized(protocolSection, "protocol", 4)
	if err != nil {
		return err
	}
	switch id := binary.LittleEndian.Uint32(section); id {
	case 1:
		return nil
	case 2:
		return fault.New(fault.InvalidKey, "the key's protocol is plonk, expected groth16")
	case 10:
		return fault.New(fault.InvalidKey, "the key's protocol is fflonk, expected groth16")
	default:
		return fault.New(fault.InvalidKey, "the key's protocol number is %d, expected 1 (groth16)", id)
	}
}

func (k *Key) readHeader(file *binfile.File) error {
	section, err := file.Section(headerSection, "groth16 header")
	if err != nil {
		return err
	}
	if len(section) < 4 {
		return fault.New(fault.InvalidKey, "zkey section 2 (groth16 header) has %d bytes, expected %d", len(section), headerBytes)
	}
	if n := binary.LittleEndian.Uint32(section); n != 32 {
		return fault.New(fault.InvalidKey, "the key's base field takes %d bytes, expected 32 (bn128); 48 is bls12-381", n)
	}
	if len(section) != headerBytes {
		return fault.New(fault.InvalidKey, "zkey section 2 (groth16 header) has %d bytes, expected %d", len(section), headerBytes)
	}
	r := reader{data: section[4:]}
	if p := r.number(); p != limbs(fp.Modulus().Bits()) {
		return fault.New(fault.InvalidKey, "the key's base field is not that of bn128: p = %x (least limb first)", p)
	}
	if n := r.u32(); n != 32 {
		return fault.New(fault.InvalidKey, "the key's scalar field takes %d bytes, expected 32 (bn128)", n)
	}
	if q := r.number(); q != limbs(fr.Modulus().Bits()) {
		return fault.New(fault.InvalidKey, "the key's scalar field is not that of bn128: r = %x (least limb first)", q)
	}
	nVars, nPublic, domain := uint64(r.u32()), uint64(r.u32()), uint64(r.u32())
	if nVars == 0 || nPublic >= nVars {
		return fault.New(fault.InvalidKey, "the key has %d signals of which %d public; expected fewer public than all", nVars, nPublic)
	}
	if domain == 0 || bits.OnesCount64(domain) != 1 || domain > 1<<maxDomainLog {
		return fault.New(fault.InvalidKey, "the key's domain size is %d, expected a power of two up to 2^%d", domain, maxDomainLog)
	}
	k.NVars, k.NPublic, k.DomainSize = int(nVars), int(nPublic), int(domain)
	one := []*bn254.G1Affine{&k.Alpha1, &k.Beta1, &k.Delta1}
	two := []*bn254.G2Affine{&k.Beta2, &k.Gamma2, &k.Delta2}
	for i, read := range []bool{true, true, false, false, true, false} {
		if read {
			_, ok := decodeG1(r.take(g1Bytes), one[0])
			if !ok || one[0].IsInfinity() {
				return fault.New(fault.InvalidKey, "point %d of the key's header is not a finite point of G1", i+1)
			}
			one = one[1:]
			continue
		}
		if _, ok := decodeG2(r.take(g2Bytes), two[0]); !ok || two[0].IsInfinity() || !two[0].IsInSubGroup() {
			return fault.New(fault.InvalidKey, "point %d of the key's header is not a finite point of G2", i+1)
		}
		two = two[1:]
	}
	return nil
}

func (k *Key) readCoefficients(file *binfile.File) error {
	section, err := file.Section(coeffsSection, "coefficients")
	if err != nil {
		return err
	}
	if len(section) < 4 {
		return fault.New(fault.InvalidKey, "zkey section 4 (coefficients) has %d bytes, expected at least 4", len(section))
	}
	count := uint64(binary.LittleEndian.Uint32(section))
	if want := 4 + count*coeffBytes; uint64(len(section)) != want {
		return fault.New(fault.InvalidKey, "zkey section 4 (coefficients) has %d bytes, expected %d for %d coefficients", len(section), want, count)
	}
	k.Coefficients = make([]Coefficient, count)
	r := reader{data: section[4:]}
	for i := range k.Coefficients {
		c := &k.Coefficients[i]
		c.Matrix, c.Constraint, c.Signal = r.u32(), r.u32(), r.u32()
		value := r.number()
		if c.Matrix > 1 || uint64(c.Constraint) >= uint64(k.DomainSize) || uint64(c.Signal) >= uint64(k.NVars) || !msm.Canonical(value) {
			return fault.New(fault.InvalidKey, "coefficient %d (matrix %d, constraint %d, signal %d) is out of range", i, c.Matrix, c.Constraint, c.Signal)
		}
		// the limbs hold value·R²; one Montgomery reduction makes them value·R, Montgomery form
		doubled := fr.Element(value)
		c.Value = fr.Element(doubled.Bits())
	}
	return nil
}
