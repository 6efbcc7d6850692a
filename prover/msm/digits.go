package msm

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Scalar is a number below the group order r as four little-endian 64-bit limbs in normal form.
type Scalar = [4]uint64

// order is r, halfOrder is (r−1)/2.
var order, halfOrder = func() (r, half Scalar) {
	var words [4]uint64
	for i, w := range fr.Modulus().Bits() {
		words[i] = uint64(w)
	}
	r = words
	for i := range half {
		half[i] = r[i] >> 1
		if i < 3 {
			half[i] |= r[i+1] << 63
		}
	}
	return
}()

// scalarBits bounds the magnitude of a scalar after taking whichever of k and r−k is smaller.
const scalarBits = 253

// windowCount is how many signed windows of width bits cover every scalar, the last carry included.
func windowCount(width int) int { return (scalarBits + 1 + width - 1) / width }

// Digits are scalars cut into signed windows: Σ ±d·2^(width·w) with d at most 2^(width−1). They can be shared
// by all tables of the same width. A digit is stored as 2·|d| plus 1 if negative; 0 is no digit.
type Digits struct {
	width int
	rows  [][]uint32
}

// Cut splits scalars into windows of width bits (4 to 24).
func Cut[S ~[4]uint64](scalars []S, width int) *Digits {
	windows := windowCount(width)
	d := &Digits{width: width, rows: make([][]uint32, windows)}
	all := make([]uint32, windows*len(scalars))
	for w := range d.rows {
		d.rows[w] = all[w*len(scalars) : (w+1)*len(scalars)]
	}
	half := uint64(1) << (width - 1)
	mask := uint64(1)<<width - 1
	for i := range scalars {
		k := Scalar(scalars[i])
		if k[0]|k[1]|k[2]|k[3] == 0 {
			continue
		}
		var sign uint32
		if less(halfOrder, k) {
			sign = 1
			k = subtract(order, k)
		}
		limbs := [5]uint64{k[0], k[1], k[2], k[3]}
		var carry uint64
		at := i
		// the windows up to the highest bit, and one more for the carry if they are full
		for bit, length := 0, bitLen(k); bit <= length; bit += width {
			// no branches on the digit: random digits would be mispredicted half of the time
			low, shift := uint(bit)/64, uint(bit)%64
			digit := (limbs[low]>>shift|limbs[low+1]<<1<<(63-shift))&mask + carry
			carry = (half - digit) >> 63             // 1 if digit > half
			digit = digit ^ -carry + -carry&(mask+2) // then 2^width − digit
			some := (digit | -digit) >> 63
			all[at] = (uint32(digit)<<1 | sign ^ uint32(carry)) & -uint32(some)
			at += len(scalars)
		}
	}
	return d
}

// bitLen is the place of the highest bit plus one.
func bitLen(k Scalar) int {
	for i := 3; i > 0; i-- {
		if k[i] != 0 {
			return 64*i + bits.Len64(k[i])
		}
	}
	return bits.Len64(k[0])
}

// Canonical reports whether k is below the group order.
func Canonical(k Scalar) bool { return less(k, order) }

func less(a, b Scalar) bool {
	var borrow uint64
	for i := range a {
		_, borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return borrow == 1
}

func subtract(a, b Scalar) (c Scalar) {
	var borrow uint64
	for i := range a {
		c[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return
}
