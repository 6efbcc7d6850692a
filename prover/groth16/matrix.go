package groth16

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/crew"
	"provery/prover/msm"
	"provery/prover/zkey"
)

// Coefficients that need no multiplication have the first numbers of a matrix's dictionary.
const (
	plusOne = iota
	minusOne
	firstOther
)

// matrix is one of the constraint matrices A and B in row order. Circuits use few distinct coefficients, so
// that entries refer to a dictionary of values.
type matrix struct {
	rowEnds []uint32
	entries []entry
	values  []fr.Element
}

type entry struct{ signal, value uint32 }

// newMatrix collects the coefficients of one matrix into rows.
func newMatrix(coefficients []zkey.Coefficient, which uint32, rows int) *matrix {
	m := &matrix{rowEnds: make([]uint32, rows), values: make([]fr.Element, firstOther)}
	m.values[plusOne].SetOne()
	m.values[minusOne].SetInt64(-1)
	numbers := map[fr.Element]uint32{m.values[plusOne]: plusOne, m.values[minusOne]: minusOne}
	last := 0
	count := 0
	for i := range coefficients {
		if c := &coefficients[i]; c.Matrix == which {
			m.rowEnds[c.Constraint]++
			last = max(last, int(c.Constraint)+1)
			count++
		}
	}
	m.rowEnds = m.rowEnds[:last]
	var at uint32
	for i, n := range m.rowEnds {
		m.rowEnds[i] = at
		at += n
	}
	m.entries = make([]entry, count)
	for i := range coefficients {
		c := &coefficients[i]
		if c.Matrix != which {
			continue
		}
		number, known := numbers[c.Value]
		if !known {
			number = uint32(len(m.values))
			numbers[c.Value] = number
			m.values = append(m.values, c.Value)
		}
		m.entries[m.rowEnds[c.Constraint]] = entry{c.Signal, number}
		m.rowEnds[c.Constraint]++
	}
	return m
}

// times puts the product with the witness into out, whose limbs are then in normal form like the witness's:
// a Montgomery product of a dictionary value with a normal number is normal, and so are sums.
func (m *matrix) times(witness []msm.Scalar, out []fr.Element, threads int) {
	clear(out[len(m.rowEnds):])
	part := (len(m.rowEnds) + threads - 1) / threads
	var all crew.Crew
	for lo := 0; lo < len(m.rowEnds); lo += part {
		all.Go(func() { m.rows(witness, out, lo, min(lo+part, len(m.rowEnds))) })
	}
	all.Wait()
}

func (m *matrix) rows(witness []msm.Scalar, out []fr.Element, lo, hi int) {
	from := uint32(0)
	if lo > 0 {
		from = m.rowEnds[lo-1]
	}
	for row := lo; row < hi; row++ {
		var sum fr.Element
		for _, e := range m.entries[from:m.rowEnds[row]] {
			value := fr.Element(witness[e.signal])
			switch e.value {
			case plusOne:
				sum.Add(&sum, &value)
			case minusOne:
				sum.Sub(&sum, &value)
			default:
				value.Mul(&value, &m.values[e.value])
				sum.Add(&sum, &value)
			}
		}
		from = m.rowEnds[row]
		out[row] = sum
	}
}
