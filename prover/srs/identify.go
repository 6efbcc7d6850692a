package srs

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"

	"provery/prover/fault"
	"provery/prover/pace"
)

// blockBytes are hashed at a time.
const blockBytes = 1 << 20

// identify hashes the whole file and compares it with the digest, if one is given: a SHA-256 or, as snarkjs' files are
// published, a BLAKE2b-512, in hexadecimal. It returns the SHA-256. The file is read once more afterwards, at places,
// and must be the same then: the table and the header are read again here.
func (p *ptau) identify(digest string, tell pace.Tell) (string, error) {
	given := digest != ""
	digest = strings.ToLower(strings.TrimPrefix(digest, "0x"))
	raw, err := hex.DecodeString(digest)
	if err != nil || given && len(raw) != sha256.Size && len(raw) != blake2b.Size {
		return "", fault.New(fault.InvalidInput, "the digest is %q, expected a SHA-256 or a BLAKE2b-512 in hexadecimal", fault.Shorten(digest, 80))
	}
	source := sha256.New()
	asked, into := hash.Hash(source), io.Writer(source)
	if len(raw) == blake2b.Size {
		if asked, err = blake2b.New512(nil); err != nil {
			return "", err
		}
		into = io.MultiWriter(source, asked)
	}
	var blocks [][sha256.Size]byte
	buffer := make([]byte, blockBytes)
	for at := int64(0); at < p.bytes; {
		n, err := p.file.ReadAt(buffer[:min(blockBytes, p.bytes-at)], at)
		if err != nil {
			return "", p.wrong("it ends at byte %d of %d: %v", at+int64(n), p.bytes, err)
		}
		_, _ = into.Write(buffer[:n])
		blocks = append(blocks, sha256.Sum256(buffer[:n]))
		at += int64(n)
		tell("hash", 0.1*float64(at)/float64(p.bytes))
	}
	if got := hex.EncodeToString(asked.Sum(nil)); given && got != digest {
		return "", fault.New(fault.CorruptArtifact, "%s has digest %s, expected %s: it is another file or damaged", p.path, got, digest)
	}
	p.blocks = blocks
	power := p.power
	if err := p.read(); err != nil {
		return "", err
	}
	if p.power != power {
		return "", p.wrong("it was changed: its power was %d, is %d", power, p.power)
	}
	return hex.EncodeToString(source.Sum(nil)), nil
}

// at reads bytes of a section. Once the file is identified they are those that were hashed.
func (p *ptau) at(section extent, offset, count int64) ([]byte, error) {
	if offset+count > section.bytes {
		return nil, io.ErrUnexpectedEOF
	}
	begin := section.offset + offset
	if p.blocks == nil {
		out := make([]byte, count)
		_, err := p.file.ReadAt(out, begin)
		return out, err
	}
	first := begin / blockBytes
	last := min((begin+count+blockBytes-1)/blockBytes, int64(len(p.blocks)))
	text := make([]byte, min(last*blockBytes, p.bytes)-first*blockBytes)
	if _, err := p.file.ReadAt(text, first*blockBytes); err != nil && err != io.EOF {
		return nil, err
	}
	for i, block := range slices.Collect(slices.Chunk(text, blockBytes)) {
		if sha256.Sum256(block) != p.blocks[first+int64(i)] {
			return nil, p.wrong("it was changed after it was hashed, around byte %d", begin)
		}
	}
	begin -= first * blockBytes
	return slices.Clone(text[begin : begin+count]), nil // aligned, as those who view it as points need
}
