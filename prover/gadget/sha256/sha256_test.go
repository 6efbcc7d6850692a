package sha256

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/math/bits"

	"provery/prover/gadget/gadgettest"
)

// sumCircuit states Digest = SHA-256(Message), both as numbers: bytes, and halves of 128 bits.
type sumCircuit struct {
	Message []frontend.Variable
	Digest  [2]frontend.Variable `gnark:",public"`
}

func (c *sumCircuit) Define(api frontend.API) error {
	h := New(api)
	message := make([]Byte, len(c.Message))
	for i, value := range c.Message {
		message[i] = Byte(api.ToBinary(value, 8))
	}
	got := h.Halves(h.Sum(message))
	api.AssertIsEqual(got[0], c.Digest[0])
	api.AssertIsEqual(got[1], c.Digest[1])
	return nil
}

func assign(message, digest []byte) *sumCircuit {
	c := &sumCircuit{Digest: [2]frontend.Variable{new(big.Int).SetBytes(digest[:16]), new(big.Int).SetBytes(digest[16:])}}
	for _, value := range message {
		c.Message = append(c.Message, value)
	}
	return c
}

// The messages of the examples of FIPS 180, and random ones around the block's boundaries; crypto/sha256 is the oracle.
func TestSum(t *testing.T) {
	messages := [][]byte{{}, []byte("abc"), []byte("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")}
	random := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{55, 63, 64, 77, 120} {
		message := make([]byte, length)
		for i := range message {
			message[i] = byte(random.Uint32())
		}
		messages = append(messages, message)
	}
	messages = append(messages, make([]byte, 64), bytes.Repeat([]byte{0xff}, 64))
	for _, message := range messages {
		digest := sha256.Sum256(message)
		system := gadgettest.Compile(t, &sumCircuit{Message: make([]frontend.Variable, len(message))})
		gadgettest.Honest(t, system, assign(message, digest[:]))
		for _, at := range []int{0, 15, 16, 31} {
			forged := digest
			forged[at] ^= 1 << (at % 8)
			gadgettest.Forged(t, "a digest", system, assign(message, forged[:]))
		}
	}
}

// bitwiseCircuit states what the two functions of three bits give.
type bitwiseCircuit struct {
	In            [3]frontend.Variable
	Xor, Majority frontend.Variable
}

func (c *bitwiseCircuit) Define(api frontend.API) error {
	h := New(api)
	var in [3]Word
	for i := range in {
		api.AssertIsBoolean(c.In[i])
		in[i] = initial[i]
		in[i][0] = c.In[i]
	}
	api.AssertIsEqual(h.xor3(in[0], in[1], in[2])[0], c.Xor)
	api.AssertIsEqual(h.majority(in[0], in[1], in[2])[0], c.Majority)
	return nil
}

func TestThreeBits(t *testing.T) {
	system := gadgettest.Compile(t, &bitwiseCircuit{})
	for bits := range 8 {
		a, b, c := bits&1, bits>>1&1, bits>>2
		for _, claim := range [][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {0, -1}} {
			honest := claim[0] == a^b^c && claim[1] == (a+b+c)>>1
			err := gadgettest.Solve(t, system, &bitwiseCircuit{[3]frontend.Variable{a, b, c}, claim[0], claim[1]})
			if honest != (err == nil) {
				t.Errorf("bits %d %d %d, claim %v: %v", a, b, c, claim, err)
			}
		}
	}
}

// bitsCircuit takes halves apart and puts them together through bytes.
type bitsCircuit struct {
	In, Out [2]frontend.Variable
}

func (c *bitsCircuit) Define(api frontend.API) error {
	h := New(api)
	out := h.Halves(FromBytes(h.Bits(c.In).Bytes()))
	api.AssertIsEqual(out[0], c.Out[0])
	api.AssertIsEqual(out[1], c.Out[1])
	return nil
}

func TestBits(t *testing.T) {
	system := gadgettest.Compile(t, &bitsCircuit{})
	digest := make([]byte, 32)
	binary.BigEndian.PutUint64(digest[3:], 0x0123456789abcdef)
	halves := [2]frontend.Variable{new(big.Int).SetBytes(digest[:16]), new(big.Int).SetBytes(digest[16:])}
	gadgettest.Honest(t, system, &bitsCircuit{halves, halves})
	wide := [2]frontend.Variable{new(big.Int).Lsh(big.NewInt(1), 128), 0}
	gadgettest.Forged(t, "a half of 129 bits", system, &bitsCircuit{wide, wide})
	gadgettest.Forged(t, "a half of 129 bits, cut", system, &bitsCircuit{wide, [2]frontend.Variable{0, 0}})
	for call := range 2 {
		if gadgettest.Solve(t, system, &bitsCircuit{halves, halves}, gadgettest.NoBits(t, call, 0)) == nil {
			t.Errorf("digits of half %d need not be bits", call)
		}
	}
}

// The digest's own digits, those of the last eight sums, count by their value only: that they are bits is stated by
// the decomposition, or nowhere.
func TestDigestsAreBits(t *testing.T) {
	message := []byte("provery")
	digest := sha256.Sum256(message)
	system := gadgettest.Compile(t, &sumCircuit{Message: make([]frontend.Variable, len(message))})
	calls := 0
	for _, one := range gadgettest.Hints(t, system, assign(message, digest[:])) {
		if strings.HasSuffix(one.Name, ".nBits") {
			calls = one.Calls
		}
	}
	for last := 1; last <= 8; last++ {
		for _, digit := range []int{0, 15, 30} {
			lie := gadgettest.NoBits(t, calls-last, digit)
			if gadgettest.Solve(t, system, assign(message, digest[:]), lie, solver.WithNbTasks(1)) == nil {
				t.Errorf("digit %d of the digest's word %d from the end need not be a bit", digit, last)
			}
		}
	}
	for digit := range 2 { // the carry
		lie := gadgettest.NoBits(t, calls-1, 31-digit)
		if gadgettest.Solve(t, system, assign(message, digest[:]), lie, solver.WithNbTasks(1)) == nil {
			t.Errorf("the carry need not be a bit")
		}
	}
}

// The only hints are those that take sums apart: lies about any digit of some sums must break a constraint.
func TestMaliciousDigits(t *testing.T) {
	message := []byte("provery")
	digest := sha256.Sum256(message)
	system := gadgettest.Compile(t, &sumCircuit{Message: make([]frontend.Variable, len(message))})
	gadgettest.Lies(t, system, assign(message, digest[:]), 64)
	for _, hint := range bits.GetHints() {
		for _, call := range []int{1, 9, 100} {
			for _, change := range []int64{1, -1, 2} {
				calls := 0
				lie := func(field *big.Int, inputs, outputs []*big.Int) error {
					if err := hint(field, inputs, outputs); err != nil {
						return err
					}
					if calls++; calls == call {
						digit := outputs[call%len(outputs)]
						digit.Add(digit, big.NewInt(change))
					}
					return nil
				}
				option := solver.OverrideHint(solver.GetHintID(hint), lie)
				err := gadgettest.Solve(t, system, assign(message, digest[:]), option, solver.WithNbTasks(1))
				if err == nil && calls >= call {
					t.Errorf("digit %d of sum %d changed by %d: accepted", call%35, call, change)
				}
			}
		}
	}
}
