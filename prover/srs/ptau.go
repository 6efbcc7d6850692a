package srs

import (
	"crypto/sha256"
	"encoding/binary"
	"os"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"provery/prover/fault"
	"provery/prover/mapfile"
)

// Sections of a .ptau file, of which the ones not named here are not needed.
// Source: snarkjs, src/powersoftau_utils.js and powersoftau_preparephase2.js.
const (
	ptauHeader        = 1
	ptauTauG1         = 2 // 2^(power+1)−1 powers
	ptauTauG2         = 3 // 2^power powers
	ptauContributions = 7
	ptauLagrange      = 12 // of a prepared file: Lagrange bases of 1, 2, 4, … 2^(power+1) points, one after another
)

const (
	ptauMagic   = "ptau"
	g1Bytes     = 64
	g2Bytes     = 128
	maxSections = 64
)

// ptau is an open powers-of-tau file of snarkjs: a 4-byte magic, little-endian u32 version and u32 section count, then
// per section u32 id, u64 length and the bytes. Points are affine, coordinates little-endian in Montgomery form, just
// as gnark-crypto has them in memory. The file may have hundreds of gigabytes and is read at places, not as a whole.
type ptau struct {
	file     *os.File
	path     string
	bytes    int64
	sections map[uint32]extent
	// blocks are the SHA-256 of the file's blocks, once it is identified: what is read later must be of the same file.
	blocks [][sha256.Size]byte
	// power says that there are 2^power points in the file's domain.
	power         int
	contributions int
}

type extent struct{ offset, bytes int64 }

func (p *ptau) wrong(format string, arguments ...any) error {
	return fault.New(fault.CorruptArtifact, "%s is not a usable powers-of-tau file: "+format, append([]any{p.path}, arguments...)...)
}

// openPtau reads a file's table and header and checks that its sections have the sizes that its power demands.
func openPtau(path string) (p *ptau, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	p = &ptau{file: file, path: path}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.IO, "%s is not a regular file", path)
	}
	p.bytes = info.Size()
	return p, p.read()
}

// read reads the table and the header.
func (p *ptau) read() error {
	p.sections, p.contributions = map[uint32]extent{}, 0
	if err := p.readTable(p.bytes); err != nil {
		return err
	}
	if err := p.readHead(); err != nil {
		return err
	}
	points := int64(1) << p.power
	for _, section := range []struct {
		id       uint32
		meaning  string
		bytes    int64
		required bool
	}{
		{ptauTauG1, "powers in G1", (2*points - 1) * g1Bytes, true},
		{ptauTauG2, "powers in G2", points * g2Bytes, true},
		{ptauLagrange, "Lagrange form", (4*points - 1) * g1Bytes, false},
	} {
		found, there := p.sections[section.id]
		if !there && section.required {
			return p.wrong("it has no section %d (%s)", section.id, section.meaning)
		}
		if there && found.bytes != section.bytes {
			return p.wrong("section %d (%s) has %d bytes, a power of %d demands %d", section.id, section.meaning, found.bytes, p.power, section.bytes)
		}
	}
	return nil
}

func (p *ptau) readTable(size int64) error {
	if size < 12 {
		return p.wrong("it has %d bytes", size)
	}
	head, err := p.at(extent{0, size}, 0, 12)
	if err != nil {
		return err
	}
	if string(head[:4]) != ptauMagic {
		return p.wrong("it starts with %q, expected %q", head[:4], ptauMagic)
	}
	if version := binary.LittleEndian.Uint32(head[4:]); version != 1 {
		return p.wrong("its version is %d, expected 1", version)
	}
	count := binary.LittleEndian.Uint32(head[8:])
	if count > maxSections {
		return p.wrong("it claims %d sections, expected at most %d", count, maxSections)
	}
	at := int64(12)
	for i := range count {
		if size-at < 12 {
			return p.wrong("it ends in the header of section %d of %d (truncated?)", i+1, count)
		}
		head, err := p.at(extent{0, size}, at, 12)
		if err != nil {
			return err
		}
		at += 12
		id, length := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint64(head[4:])
		if length > uint64(size-at) {
			return p.wrong("section %d claims %d bytes, %d are left in the file (truncated?)", id, length, size-at)
		}
		if _, twice := p.sections[id]; twice {
			return p.wrong("section %d occurs twice", id)
		}
		p.sections[id] = extent{at, int64(length)}
		at += int64(length)
	}
	if at != size {
		return p.wrong("%d bytes follow its last section", size-at)
	}
	return nil
}

func (p *ptau) readHead() error {
	section := p.sections[ptauHeader]
	if section.bytes < 4 || section.bytes > 1024 {
		return p.wrong("its header has %d bytes", section.bytes)
	}
	head, err := p.at(section, 0, section.bytes)
	if err != nil {
		return err
	}
	width := binary.LittleEndian.Uint32(head)
	if width != fp.Bytes || len(head) != 4+fp.Bytes+8 {
		return p.wrong("its field has %d bytes, those of BN254 have %d: it is of another curve", width, fp.Bytes)
	}
	prime := fp.Modulus().FillBytes(make([]byte, fp.Bytes))
	for i := range prime {
		if head[4+i] != prime[fp.Bytes-1-i] {
			return p.wrong("its field is not that of BN254: it is of another curve")
		}
	}
	power := binary.LittleEndian.Uint32(head[4+fp.Bytes:])
	if power < 1 || power > MaxPower {
		return p.wrong("its power is %d, expected 1 to %d", power, MaxPower)
	}
	p.power = int(power)
	if section, there := p.sections[ptauContributions]; there {
		if section.bytes < 4 {
			return p.wrong("its list of contributions has %d bytes", section.bytes)
		}
		count, err := p.at(section, 0, 4)
		if err != nil {
			return err
		}
		p.contributions = int(binary.LittleEndian.Uint32(count))
	}
	return nil
}

// points reads points of G1 from a section, from the given one on, and checks that each is a finite point of the curve
// in its one form. BN254's G1 has no subgroups.
func (p *ptau) points(section extent, first, count int64) ([]bn254.G1Affine, error) {
	text, err := p.at(section, first*g1Bytes, count*g1Bytes)
	if err != nil {
		return nil, err
	}
	out := mapfile.View[bn254.G1Affine](text)
	for i := range out {
		if !reduced(&out[i].X) || !reduced(&out[i].Y) || out[i].IsInfinity() || !out[i].IsOnCurve() {
			return nil, p.wrong("point %d of the section at byte %d is not a finite point of the curve", first+int64(i), section.offset)
		}
	}
	return out, nil
}

// tau2 reads [1]₂ and [τ]₂ and checks that they are in the subgroup.
func (p *ptau) tau2() ([]bn254.G2Affine, error) {
	text, err := p.at(p.sections[ptauTauG2], 0, 2*g2Bytes)
	if err != nil {
		return nil, err
	}
	out := mapfile.View[bn254.G2Affine](text)
	for i := range out {
		for _, part := range []*fp.Element{&out[i].X.A0, &out[i].X.A1, &out[i].Y.A0, &out[i].Y.A1} {
			if !reduced(part) {
				return nil, p.wrong("point %d in G2 has a coordinate beyond the modulus", i)
			}
		}
		if out[i].IsInfinity() || !out[i].IsInSubGroup() {
			return nil, p.wrong("point %d in G2 is not a finite point of the subgroup", i)
		}
	}
	_, _, _, base := bn254.Generators()
	if !out[0].Equal(&base) {
		return nil, p.wrong("its powers in G2 do not start with the generator")
	}
	return out, nil
}

var modulus = func() (words [4]uint64) {
	for i, word := range fp.Modulus().Bits() {
		words[i] = uint64(word)
	}
	return words
}()

// reduced tells whether an element read from memory is below the modulus.
func reduced(e *fp.Element) bool {
	for i := 3; i >= 0; i-- {
		if e[i] != modulus[i] {
			return e[i] < modulus[i]
		}
	}
	return false
}
