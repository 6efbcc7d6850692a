//go:build unix

// Package mapfile keeps long vectors of points and field elements in files that are mapped into memory rather than
// read.
//
// A file starts with eight bytes of magic, the length of a JSON header as four little-endian bytes, and the header.
// Sections begin at multiples of 4096 bytes and hold values as they lie in memory: field elements in Montgomery form,
// limbs little-endian.
package mapfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
)

const (
	// HeaderBytes is where the first section begins at the earliest.
	HeaderBytes = 16 << 10
	pageBytes   = 4096
	magicBytes  = 8
)

// Section says where a named vector lies.
type Section struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
}

// Table lists a file's sections. A header embeds it.
type Table struct {
	Sections []Section `json:"sections"`
}

func (t *Table) table() *Table { return t }

// Header is a pointer to a struct that embeds Table; its other fields say what the file is.
type Header interface{ table() *Table }

// Value is what sections hold.
type Value interface {
	bn254.G1Affine | bn254.G2Affine | fr.Element | uint32
}

// Writer writes a file section by section, so that it need never be in memory as a whole.
type Writer struct {
	file   *os.File
	magic  string
	header Header
	offset int64
}

// Create starts a file, which must not exist yet. The header is written last, by Close.
func Create(path, magic string, header Header) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &Writer{file, magic, header, HeaderBytes}, nil
}

// Begin starts a section, to which Append adds.
func (w *Writer) Begin(name string) {
	w.offset = (w.offset + pageBytes - 1) / pageBytes * pageBytes
	table := w.header.table()
	table.Sections = append(table.Sections, Section{Name: name, Offset: w.offset})
}

// Append adds bytes to the section begun last.
func (w *Writer) Append(data []byte) error {
	n, err := w.file.WriteAt(data, w.offset)
	w.offset += int64(n)
	sections := w.header.table().Sections
	sections[len(sections)-1].Bytes += int64(n)
	return err
}

// Section writes a whole section.
func (w *Writer) Section(name string, data []byte) error {
	w.Begin(name)
	return w.Append(data)
}

// Close writes the header and brings everything to the disk.
func (w *Writer) Close() error {
	defer w.file.Close()
	text, err := json.Marshal(w.header)
	if err != nil {
		return err
	}
	head := append(binary.LittleEndian.AppendUint32([]byte(w.magic), uint32(len(text))), text...)
	if len(head) > HeaderBytes {
		return fault.New(fault.Unsupported, "a file with %d sections: too many", len(w.header.table().Sections))
	}
	if _, err := w.file.WriteAt(head, 0); err != nil {
		return err
	}
	if err := w.file.Truncate(w.offset); err != nil {
		return err
	}
	return w.file.Sync()
}

// Abandon closes the file as it is, for whoever cannot finish it. After Close it does nothing.
func (w *Writer) Abandon() { w.file.Close() }

// File is a mapped file. What is seen in it must not be used after Close.
type File struct {
	data     []byte
	sections map[string][]byte
}

// Map maps a file of so many bytes and decodes its header. Errors name no path: the caller knows what the file is for.
func Map(path string, size int64, magic string, header Header) (*File, error) {
	if *(*byte)(unsafe.Pointer(&[]uint16{1}[0])) != 1 {
		return nil, fault.New(fault.Unsupported, "keys work on little-endian machines only")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// a mapping reaches as far as it was asked to, whatever the file's length, and kills who reads beyond that
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != size {
		return nil, fmt.Errorf("it has %d bytes, expected %d", info.Size(), size)
	}
	if size < HeaderBytes {
		return nil, fmt.Errorf("it has only %d bytes", size)
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fault.New(fault.Resource, "%s cannot be mapped into memory: %v", path, err)
	}
	sections, err := readHeader(data, magic, header)
	if err != nil {
		_ = syscall.Munmap(data)
		return nil, err
	}
	return &File{data, sections}, nil
}

// Close gives the mapping back.
func (f *File) Close() error { return syscall.Munmap(f.data) }

// Section returns a section's bytes, none if there is no such section.
func (f *File) Section(name string) []byte { return f.sections[name] }

func readHeader(data []byte, magic string, header Header) (map[string][]byte, error) {
	if string(data[:magicBytes]) != magic {
		return nil, fmt.Errorf("it does not start as it should")
	}
	length := binary.LittleEndian.Uint32(data[magicBytes:])
	const start = magicBytes + 4
	if length > HeaderBytes-start {
		return nil, fmt.Errorf("its header has %d bytes", length)
	}
	decoder := json.NewDecoder(bytes.NewReader(data[start : start+length]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(header); err != nil {
		return nil, fmt.Errorf("its header is damaged: %s", fault.Shorten(err.Error(), 100))
	}
	sections := map[string][]byte{}
	for _, s := range header.table().Sections {
		if s.Offset < HeaderBytes || s.Offset%pageBytes != 0 || s.Bytes < 0 || s.Bytes > int64(len(data)) || s.Offset > int64(len(data))-s.Bytes {
			return nil, fmt.Errorf("its section %q has %d bytes from byte %d on, the file has %d", fault.Shorten(s.Name, 20), s.Bytes, s.Offset, len(data))
		}
		sections[s.Name] = data[s.Offset : s.Offset+s.Bytes]
	}
	return sections, nil
}

// Bytes returns the memory of values.
func Bytes[V Value](values []V) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))
}

// View sees bytes as values; a wrong length gives none.
func View[V Value](data []byte) []V {
	var v V
	size := int(unsafe.Sizeof(v))
	if len(data) == 0 || len(data)%size != 0 {
		return nil
	}
	return unsafe.Slice((*V)(unsafe.Pointer(&data[0])), len(data)/size)
}
