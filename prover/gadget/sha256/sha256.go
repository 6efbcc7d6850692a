package sha256

import (
	"math/big"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/math/bits"
)

// Word is 32 bits, the least significant first.
type Word [32]frontend.Variable

// Byte is eight bits, the least significant first.
type Byte [8]frontend.Variable

// Digest is the eight words of a hash, the most significant first.
type Digest [8]Word

// Hasher computes hashes in one circuit.
type Hasher struct {
	api           frontend.API
	half, quarter *big.Int
}

// New returns a hasher for the circuit that api builds.
func New(api frontend.API) *Hasher { return &Hasher{api, inverse(api, 2), inverse(api, 4)} }

// Constant returns text as bytes of the circuit.
func Constant(text []byte) []Byte {
	out := make([]Byte, len(text))
	for i, value := range text {
		for k := range 8 {
			out[i][k] = uint(value) >> k & 1
		}
	}
	return out
}

// Bytes returns the 32 bytes of d in their order in memory.
func (d Digest) Bytes() []Byte {
	out := make([]Byte, 0, 32)
	for _, word := range d {
		for k := 24; k >= 0; k -= 8 {
			out = append(out, Byte(word[k:k+8]))
		}
	}
	return out
}

// FromBytes is the inverse of Digest.Bytes.
func FromBytes(bytes []Byte) (d Digest) {
	for i := range d {
		d[i] = word(bytes[4*i:])
	}
	return d
}

func word(bytes []Byte) (w Word) {
	for k := range 4 {
		copy(w[24-8*k:], bytes[k][:])
	}
	return w
}

// Halves returns d as two numbers of 128 bits, the more significant first.
func (h *Hasher) Halves(d Digest) [2]frontend.Variable {
	var halves [2]frontend.Variable
	for i := range halves {
		halves[i] = 0
		for _, w := range d[4*i : 4*i+4] {
			halves[i] = h.api.Add(h.api.Mul(halves[i], new(big.Int).Lsh(big.NewInt(1), 32)), h.value(w))
		}
	}
	return halves
}

// Bits takes two numbers of 128 bits apart, the more significant first; larger ones cannot be proven.
func (h *Hasher) Bits(halves [2]frontend.Variable) (d Digest) {
	for i, half := range halves {
		digits := bits.ToBinary(h.api, half, bits.WithNbDigits(128))
		for k := range 4 {
			d[4*i+3-k] = Word(digits[32*k : 32*k+32])
		}
	}
	return d
}

// Pair returns the hash of left followed by right, as in a Merkle tree.
func (h *Hasher) Pair(left, right Digest) Digest {
	return h.Sum(append(left.Bytes(), right.Bytes()...))
}

// Sum returns the hash of message.
func (h *Hasher) Sum(message []Byte) Digest {
	length := uint64(len(message)) * 8
	padded := append(append([]Byte{}, message...), Constant([]byte{0x80})...)
	for len(padded)%64 != 56 {
		padded = append(padded, Constant([]byte{0})...)
	}
	for shift := 56; shift >= 0; shift -= 8 {
		padded = append(padded, Constant([]byte{byte(length >> shift)})...)
	}
	state := initial
	for ; len(padded) > 0; padded = padded[64:] {
		var block [16]Word
		for i := range block {
			block[i] = word(padded[4*i:])
		}
		state = h.compress(state, block)
	}
	return state
}

// compress is the compression function.
func (h *Hasher) compress(state Digest, block [16]Word) Digest {
	schedule := h.schedule(block)
	r := state
	for i, w := range schedule {
		first := h.api.Add(h.value(r[7]), h.value(h.bigSigma(r[4], 6, 11, 25)), h.value(h.choose(r[4], r[5], r[6])), roundConstants[i], h.value(w))
		second := h.api.Add(h.value(h.bigSigma(r[0], 2, 13, 22)), h.value(h.majority(r[0], r[1], r[2])))
		next := Digest{h.split(h.api.Add(first, second), 7), r[0], r[1], r[2], h.split(h.api.Add(first, h.value(r[3])), 6), r[4], r[5], r[6]}
		r = next
	}
	for i := range r {
		r[i] = h.split(h.api.Add(h.value(state[i]), h.value(r[i])), 2)
	}
	return r
}

func (h *Hasher) schedule(block [16]Word) (out [64]Word) {
	copy(out[:], block[:])
	for i := 16; i < 64; i++ {
		sum := h.api.Add(h.value(out[i-16]), h.value(h.smallSigma(out[i-15], 7, 18, 3)), h.value(out[i-7]), h.value(h.smallSigma(out[i-2], 17, 19, 10)))
		out[i] = h.split(sum, 4)
	}
	return out
}

func (h *Hasher) bigSigma(w Word, r1, r2, r3 int) Word {
	return h.xor3(rotate(w, r1), rotate(w, r2), rotate(w, r3))
}

func (h *Hasher) smallSigma(w Word, r1, r2, shift int) Word {
	shifted := rotate(w, shift)
	for i := 32 - shift; i < 32; i++ {
		shifted[i] = 0
	}
	return h.xor3(rotate(w, r1), rotate(w, r2), shifted)
}

func rotate(w Word, by int) (out Word) {
	for i := range out {
		out[i] = w[(i+by)%32]
	}
	return out
}

// value returns the number that the bits of w stand for; it costs nothing.
func (h *Hasher) value(w Word) frontend.Variable {
	var terms [32]frontend.Variable
	for i := range w {
		terms[i] = h.api.Mul(w[i], uint64(1)<<i)
	}
	return h.api.Add(terms[0], terms[1], terms[2:]...)
}

// split returns the low 32 bits of a sum of at most count numbers of 32 bits.
func (h *Hasher) split(sum frontend.Variable, count int) Word {
	extra := 0
	for 1<<extra < count {
		extra++
	}
	return Word(bits.ToBinary(h.api, sum, bits.WithNbDigits(32+extra))[:32])
}
