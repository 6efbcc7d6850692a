//go:build unix

package keys

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/pedersen"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/fault"
)

// A file pk starts with magic, the length of a JSON header as four little-endian bytes, and the header. Sections begin
// at multiples of pageBytes and hold points as they lie in memory: coordinates in Montgomery form, limbs little-endian.
const (
	magic       = "PRVPK\x00\x00\x01"
	headerBytes = 16 << 10
	pageBytes   = 4096
)

type header struct {
	CircuitID   string    `json:"circuit_id"`
	Domain      uint64    `json:"domain"`
	Wires       int       `json:"wires"`
	Commitments int       `json:"commitments"`
	Sections    []section `json:"sections"`
}

type section struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
}

// Names of sections; those of commitments have the commitment's number behind them.
const (
	sectionFixed1    = "fixed1" // α in G1
	sectionFixed2    = "fixed2" // β, δ in G2
	sectionA         = "a"
	sectionZ         = "z"
	sectionK         = "k"
	sectionB2        = "b2"
	sectionInfinityA = "infinity_a"
	sectionInfinityB = "infinity_b"
	sectionBasis     = "basis"
	sectionSigma     = "sigma"
)

// keyWriter writes a proving key section by section, so that it need never be in memory as a whole.
type keyWriter struct {
	file   *os.File
	header header
	offset int64
}

func newKeyWriter(path, circuitID string, domain uint64, wires, commitments int) (*keyWriter, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &keyWriter{file, header{CircuitID: circuitID, Domain: domain, Wires: wires, Commitments: commitments}, headerBytes}, nil
}

func (w *keyWriter) begin(name string) {
	w.offset = (w.offset + pageBytes - 1) / pageBytes * pageBytes
	w.header.Sections = append(w.header.Sections, section{Name: name, Offset: w.offset})
}

func (w *keyWriter) append(data []byte) error {
	n, err := w.file.WriteAt(data, w.offset)
	w.offset += int64(n)
	w.header.Sections[len(w.header.Sections)-1].Bytes += int64(n)
	return err
}

func (w *keyWriter) section(name string, data []byte) error {
	w.begin(name)
	return w.append(data)
}

func (w *keyWriter) close() error {
	defer w.file.Close()
	text, err := json.Marshal(w.header)
	if err != nil {
		return err
	}
	head := append(binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text))), text...)
	if len(head) > headerBytes {
		return fault.New(fault.Unsupported, "a circuit with %d commitments: its key has too many sections", w.header.Commitments)
	}
	if _, err := w.file.WriteAt(head, 0); err != nil {
		return err
	}
	if err := w.file.Truncate(w.offset); err != nil {
		return err
	}
	return w.file.Sync()
}

// ProvingKey is a key whose points lie in a file that is mapped into memory. Close unmaps it: the key must not be used
// afterwards. B in G1, β and δ in G1 are left out: the prover does without.
type ProvingKey struct {
	Alpha1        bn254.G1Affine
	Beta2, Delta2 bn254.G2Affine
	// A and B are of the wires that InfinityA and InfinityB do not mark; K of private wires; Z in bit-reversed order.
	A, K, Z              []bn254.G1Affine
	B                    []bn254.G2Affine
	InfinityA, InfinityB []bool
	Commitments          []pedersen.ProvingKey
	mapped               []byte
}

// Close gives the mapping back.
func (k *ProvingKey) Close() error { return syscall.Munmap(k.mapped) }

// ProvingKey maps the key of a set-up. Its points are not checked: every proof made with it is verified.
func (s Store) ProvingKey(m *Manifest, system *cs.R1CS) (key *ProvingKey, err error) {
	path := s.Path(m, fileProving)
	foreign := func(format string, arguments ...any) error {
		return fault.New(fault.InvalidKey, "%s is not the proving key of circuit %.12s: %s", path, m.CircuitID, fmt.Sprintf(format, arguments...))
	}
	if *(*byte)(unsafe.Pointer(&[]uint16{1}[0])) != 1 {
		return nil, fault.New(fault.Unsupported, "proving keys work on little-endian machines only")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := syscall.Mmap(int(file.Fd()), 0, int(m.Files[fileProving].Bytes), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fault.New(fault.Resource, "%s cannot be mapped into memory: %v", path, err)
	}
	defer func() {
		if err != nil {
			_ = syscall.Munmap(data)
		}
	}()
	head, sections, err := readHeader(data)
	if err != nil {
		return nil, foreign("%v", err)
	}
	wires := wiresOf(system)
	commitments := system.CommitmentInfo.(constraint.Groth16Commitments)
	if head.CircuitID != m.CircuitID || head.Wires != wires || head.Commitments != len(commitments) {
		return nil, foreign("it is of circuit %.12s with %d wires", head.CircuitID, head.Wires)
	}
	domain := domainOf(system)
	key = &ProvingKey{mapped: data}
	key.InfinityA, key.InfinityB = flags(sections[sectionInfinityA]), flags(sections[sectionInfinityB])
	fixed1, fixed2 := points[bn254.G1Affine](sections[sectionFixed1]), points[bn254.G2Affine](sections[sectionFixed2])
	key.A, key.K = points[bn254.G1Affine](sections[sectionA]), points[bn254.G1Affine](sections[sectionK])
	key.Z, key.B = points[bn254.G1Affine](sections[sectionZ]), points[bn254.G2Affine](sections[sectionB2])
	private := wires - system.GetNbPublicVariables() - len(commitments)
	for i := range commitments {
		one := pedersen.ProvingKey{Basis: points[bn254.G1Affine](sections[numbered(sectionBasis, i)]),
			BasisExpSigma: points[bn254.G1Affine](sections[numbered(sectionSigma, i)])}
		if n := len(commitments[i].PrivateCommitted); len(one.Basis) != n || len(one.BasisExpSigma) != n {
			return nil, foreign("commitment %d has %d points, expected %d", i, len(one.Basis), n)
		}
		private -= len(one.Basis)
		key.Commitments = append(key.Commitments, one)
	}
	if len(fixed1) != 1 || len(fixed2) != 2 || len(key.InfinityA) != wires || len(key.InfinityB) != wires ||
		len(key.A) != unmarked(key.InfinityA) || len(key.B) != unmarked(key.InfinityB) ||
		len(key.K) != private || uint64(len(key.Z)) != domain-1 || head.Domain != domain {
		return nil, foreign("the numbers of its points are wrong")
	}
	key.Alpha1, key.Beta2, key.Delta2 = fixed1[0], fixed2[0], fixed2[1]
	return key, nil
}

func readHeader(data []byte) (head header, sections map[string][]byte, err error) {
	if len(data) < headerBytes || string(data[:len(magic)]) != magic {
		return head, nil, fmt.Errorf("it does not start as a proving key does")
	}
	length := binary.LittleEndian.Uint32(data[len(magic):])
	start := uint32(len(magic) + 4)
	if length > headerBytes-start {
		return head, nil, fmt.Errorf("its header has %d bytes", length)
	}
	decoder := json.NewDecoder(bytes.NewReader(data[start : start+length]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&head); err != nil {
		return head, nil, fmt.Errorf("its header is damaged: %s", fault.Shorten(err.Error(), 100))
	}
	sections = map[string][]byte{}
	for _, s := range head.Sections {
		if s.Offset < headerBytes || s.Offset%pageBytes != 0 || s.Bytes < 0 || s.Bytes > int64(len(data)) || s.Offset > int64(len(data))-s.Bytes {
			return head, nil, fmt.Errorf("its section %q lies outside", fault.Shorten(s.Name, 20))
		}
		sections[s.Name] = data[s.Offset : s.Offset+s.Bytes]
	}
	return head, sections, nil
}

// domainOf is the size of the domain that the constraints are interpolated on.
func domainOf(system *cs.R1CS) uint64 { return ecc.NextPowerOfTwo(uint64(system.GetNbConstraints())) }

func wiresOf(system *cs.R1CS) int {
	return system.NbInternalVariables + system.GetNbPublicVariables() + system.GetNbSecretVariables()
}

func numbered(name string, i int) string { return fmt.Sprint(name, i) }

// memory returns the bytes of points.
func memory[P bn254.G1Affine | bn254.G2Affine](points []P) []byte {
	if len(points) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&points[0])), len(points)*int(unsafe.Sizeof(points[0])))
}

// points sees bytes as points; a wrong length gives none.
func points[P bn254.G1Affine | bn254.G2Affine](data []byte) []P {
	var p P
	size := int(unsafe.Sizeof(p))
	if len(data) == 0 || len(data)%size != 0 {
		return nil
	}
	return unsafe.Slice((*P)(unsafe.Pointer(&data[0])), len(data)/size)
}

// flags copies bytes into truth values.
func flags(data []byte) []bool {
	out := make([]bool, len(data))
	for i, value := range data {
		out[i] = value != 0
	}
	return out
}

func unmarked(marks []bool) (n int) {
	for _, marked := range marks {
		if !marked {
			n++
		}
	}
	return n
}

func flagBytes(values []bool) []byte {
	out := make([]byte, len(values))
	for i, value := range values {
		if value {
			out[i] = 1
		}
	}
	return out
}

// writeKey writes a key that is in memory, as a ceremony leaves it.
func writeKey(path, circuitID string, key *groth16.ProvingKey) error {
	w, err := newKeyWriter(path, circuitID, key.Domain.Cardinality, len(key.InfinityA), len(key.CommitmentKeys))
	if err != nil {
		return err
	}
	type part struct {
		name string
		data []byte
	}
	parts := []part{
		{sectionFixed1, memory([]bn254.G1Affine{key.G1.Alpha})},
		{sectionFixed2, memory([]bn254.G2Affine{key.G2.Beta, key.G2.Delta})},
		{sectionInfinityA, flagBytes(key.InfinityA)}, {sectionInfinityB, flagBytes(key.InfinityB)},
		{sectionA, memory(key.G1.A)}, {sectionZ, memory(key.G1.Z)},
		{sectionK, memory(key.G1.K)}, {sectionB2, memory(key.G2.B)},
	}
	for i, one := range key.CommitmentKeys {
		parts = append(parts, part{numbered(sectionBasis, i), memory(one.Basis)}, part{numbered(sectionSigma, i), memory(one.BasisExpSigma)})
	}
	for _, p := range parts {
		if err := w.section(p.name, p.data); err != nil {
			w.file.Close()
			return err
		}
	}
	return w.close()
}
