// Package binfile reads and writes the container shared by circom and snarkjs artefacts (.r1cs, .wtns, .zkey):
// a 4-byte magic, then little-endian u32 version and u32 section count, then per section u32 id, u64 length
// in bytes and the bytes. Source: iden3's r1cs, wtns and zkey format descriptions.
package binfile

import (
	"encoding/binary"

	"provery/prover/fault"
)

const (
	fileHeaderBytes    = 12
	sectionHeaderBytes = 12
)

// File is a parsed container. Section contents alias the bytes given to Parse.
type File struct {
	Version  uint32
	sections map[uint32][]byte
	kind     fault.Kind
	magic    string
}

// Section is one section to write.
type Section struct {
	ID   uint32
	Data []byte
}

// Parse splits data into sections. Errors are of the given kind and say what was found and expected.
// It allocates nothing proportional to numbers read from the file. Duplicate sections, bytes after the last
// section and versions above maxVersion are refused.
func Parse(data []byte, magic string, maxVersion uint32, kind fault.Kind) (*File, error) {
	if len(data) < fileHeaderBytes {
		return nil, fault.New(kind, "%s file has %d bytes, expected at least %d", magic, len(data), fileHeaderBytes)
	}
	if got := string(data[:4]); got != magic {
		return nil, fault.New(kind, "file magic is %q, expected %q", got, magic)
	}
	version := binary.LittleEndian.Uint32(data[4:])
	if version == 0 || version > maxVersion {
		return nil, fault.New(kind, "%s file version is %d, expected 1 to %d", magic, version, maxVersion)
	}
	count := binary.LittleEndian.Uint32(data[8:])
	file := &File{Version: version, sections: map[uint32][]byte{}, kind: kind, magic: magic}
	rest := data[fileHeaderBytes:]
	for i := range count {
		if len(rest) < sectionHeaderBytes {
			return nil, fault.New(kind, "%s file ends in the header of section %d of %d", magic, i+1, count)
		}
		id := binary.LittleEndian.Uint32(rest)
		length := binary.LittleEndian.Uint64(rest[4:])
		rest = rest[sectionHeaderBytes:]
		if length > uint64(len(rest)) {
			return nil, fault.New(kind, "%s section %d claims %d bytes, %d are left in the file (truncated?)", magic, id, length, len(rest))
		}
		if _, twice := file.sections[id]; twice {
			return nil, fault.New(kind, "%s section %d occurs twice", magic, id)
		}
		file.sections[id] = rest[:length:length]
		rest = rest[length:]
	}
	if len(rest) != 0 {
		return nil, fault.New(kind, "%s file has %d bytes after its last section", magic, len(rest))
	}
	return file, nil
}

// Section returns the bytes of section id, or an error naming it.
func (f *File) Section(id uint32, meaning string) ([]byte, error) {
	data, ok := f.sections[id]
	if !ok {
		return nil, fault.New(f.kind, "%s file has no section %d (%s)", f.magic, id, meaning)
	}
	return data, nil
}

// Sized returns section id after checking that it has exactly want bytes.
func (f *File) Sized(id uint32, meaning string, want uint64) ([]byte, error) {
	data, err := f.Section(id, meaning)
	if err != nil {
		return nil, err
	}
	if uint64(len(data)) != want {
		return nil, fault.New(f.kind, "%s section %d (%s) has %d bytes, expected %d", f.magic, id, meaning, len(data), want)
	}
	return data, nil
}

// Encode returns the file header and, before each section's bytes, its section header, as a list of chunks
// to be written one after another. Section bytes are not copied.
func Encode(magic string, version uint32, sections []Section) [][]byte {
	head := make([]byte, fileHeaderBytes)
	copy(head, magic)
	binary.LittleEndian.PutUint32(head[4:], version)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(sections)))
	chunks := [][]byte{head}
	for _, s := range sections {
		sectionHead := make([]byte, sectionHeaderBytes)
		binary.LittleEndian.PutUint32(sectionHead, s.ID)
		binary.LittleEndian.PutUint64(sectionHead[4:], uint64(len(s.Data)))
		chunks = append(chunks, sectionHead, s.Data)
	}
	return chunks
}
