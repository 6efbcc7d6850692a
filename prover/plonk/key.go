package plonk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"

	"provery/prover/fault"
	"provery/prover/mapfile"
	"provery/prover/srs"
)

// magic starts a proving key's file, see package mapfile.
const magic = "PRVPLK\x00\x01"

type header struct {
	CircuitID   string `json:"circuit_id"`
	SRSID       string `json:"srs_id"`
	Domain      uint64 `json:"domain"`
	Commitments int    `json:"commitments"`
	mapfile.Table
}

// Names of sections. Columns are coefficients, lowest first.
const (
	sectionPermutation = "permutation" // the place that each of the 3n places is sent to
	sectionPadding     = "padding"     // Σ [Lᵢ(τ)]₁ over the rows beyond the last gate
)

// Numbers of the columns that every circuit has; those of commitments come next.
const (
	ql = iota
	qr
	qm
	qo
	qk
	s1
	s2
	s3
	fixedColumns
)

func columnName(i int) string { return fmt.Sprintf("column-%d", i) }

// Key is a proving key, mapped into memory. Close unmaps it: the key must not be used afterwards.
type Key struct {
	VK  *gnark.VerifyingKey
	SRS *srs.SRS
	// columns are ql, qr, qm, qo, qk, s1, s2, s3, and a selector for each commitment.
	columns     [][]fr.Element
	permutation []uint32
	padding     bn254.G1Affine
	file        *mapfile.File
	// wide is what Widen has computed, nil without.
	wide *wide
}

// Close gives the mappings back.
func (k *Key) Close() {
	k.SRS.Close()
	_ = k.file.Close()
}

// Power is the exponent of a circuit's domain: its gates, and a row for each public value, in 2^Power rows.
func Power(system *cs.SparseR1CS) int {
	rows := system.GetNbConstraints() + system.GetNbPublicVariables()
	return max(1, bits.TrailingZeros64(ecc.NextPowerOfTwo(uint64(rows))))
}

// Open maps the key in a file. The SRS given is closed with it, or at once if there is an error; errors name no path.
func Open(path string, size int64, circuitID, srsID string, system *cs.SparseR1CS, vk *gnark.VerifyingKey, powers *srs.SRS) (*Key, error) {
	head := header{}
	file, err := mapfile.Map(path, size, magic, &head)
	if err != nil {
		powers.Close()
		return nil, err
	}
	k := &Key{VK: vk, SRS: powers, file: file}
	if err := k.read(&head, circuitID, srsID, system); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Key) read(head *header, circuitID, srsID string, system *cs.SparseR1CS) error {
	commitments := len(system.CommitmentInfo.(constraint.PlonkCommitments))
	n := 1 << Power(system)
	if head.CircuitID != circuitID || head.SRSID != srsID || head.Domain != uint64(n) || head.Commitments != commitments {
		return fmt.Errorf("it is of circuit %.12s with SRS %.12s", head.CircuitID, head.SRSID)
	}
	for i := range fixedColumns + commitments {
		column := mapfile.View[fr.Element](k.file.Section(columnName(i)))
		if len(column) != n {
			return fmt.Errorf("column %d has %d rows, expected %d", i, len(column), n)
		}
		k.columns = append(k.columns, column)
	}
	k.permutation = mapfile.View[uint32](k.file.Section(sectionPermutation))
	padding := mapfile.View[bn254.G1Affine](k.file.Section(sectionPadding))
	if len(k.permutation) != 3*n || len(padding) != 1 || len(k.SRS.Lagrange) != n || len(k.SRS.G1) < n+3 {
		return fmt.Errorf("its permutation has %d places, expected %d", len(k.permutation), 3*n)
	}
	for _, place := range k.permutation {
		if place >= uint32(3*n) {
			return fmt.Errorf("its permutation leads to place %d", place)
		}
	}
	k.padding = padding[0]
	if k.VK.Size != uint64(n) || len(k.VK.Qcp) != commitments || k.VK.NbPublicVariables != uint64(system.GetNbPublicVariables()) {
		return fmt.Errorf("its verifying key is of a domain of %d", k.VK.Size)
	}
	return nil
}

// EncodeVerifyingKey returns a verifying key's one form in a file.
func EncodeVerifyingKey(vk *gnark.VerifyingKey) ([]byte, error) {
	var text bytes.Buffer
	_, err := vk.WriteRawTo(&text)
	return text.Bytes(), err
}

// lengthAt is where a verifying key says how many commitments its circuit has: after version, sizes, and eight points.
const lengthAt = 3*8 + 2*fr.Bytes + 8 + fr.Bytes + 8*pointBytes

// measure checks a verifying key's length and the lengths of its lists, before memory is taken for them.
func measure(text []byte) error {
	none, err := EncodeVerifyingKey(new(gnark.VerifyingKey))
	if err != nil {
		return err
	}
	if len(text) < len(none) {
		return fault.New(fault.InvalidKey, "the verifying key is damaged: it has %d bytes, expected at least %d", len(text), len(none))
	}
	commitments := uint64(binary.BigEndian.Uint32(text[lengthAt:]))
	if want := uint64(len(none)) + commitments*(pointBytes+8); uint64(len(text)) != want {
		return fault.New(fault.InvalidKey, "the verifying key is damaged: it has %d bytes, expected %d for %d commitments", len(text), want, commitments)
	}
	if again := binary.BigEndian.Uint32(text[uint64(len(text))-commitments*8-4:]); uint64(again) != commitments {
		return fault.New(fault.InvalidKey, "the verifying key is damaged: it names %d commitments and places %d", commitments, again)
	}
	return nil
}

// DecodeVerifyingKey reads what EncodeVerifyingKey has written.
func DecodeVerifyingKey(text []byte) (vk *gnark.VerifyingKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.InvalidKey, "the verifying key is damaged: %s", fault.Shorten(fmt.Sprint(r), 200))
		}
	}()
	if err := measure(text); err != nil {
		return nil, err
	}
	vk = new(gnark.VerifyingKey)
	reader := bytes.NewReader(text)
	if _, err := vk.ReadFrom(reader); err != nil || reader.Len() != 0 {
		return nil, fault.New(fault.InvalidKey, "the verifying key is damaged: %v", err)
	}
	if again, err := EncodeVerifyingKey(vk); err != nil || !bytes.Equal(again, text) {
		return nil, fault.New(fault.InvalidKey, "the verifying key is not in its form")
	}
	if len(vk.Qcp) != len(vk.CommitmentConstraintIndexes) || vk.Size < 2 || bits.OnesCount64(vk.Size) != 1 {
		return nil, fault.New(fault.InvalidKey, "the verifying key is of no circuit")
	}
	return vk, nil
}
