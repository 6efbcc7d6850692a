package poseidon

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/gadgettest"
)

const tag = 7

type sumCircuit struct {
	In  []frontend.Variable
	Out frontend.Variable `gnark:",public"`
}

func (c *sumCircuit) Define(api frontend.API) error {
	out, err := Sum(api, tag, c.In...)
	if err != nil {
		return err
	}
	api.AssertIsEqual(out, c.Out)
	return nil
}

func numbers(count int) []fr.Element {
	out := make([]fr.Element, count)
	for i := range out {
		out[i].SetUint64(uint64(i + 1))
	}
	return out
}

func assign(in []fr.Element, out fr.Element) *sumCircuit {
	c := &sumCircuit{Out: out}
	for _, v := range in {
		c.In = append(c.In, v)
	}
	return c
}

func TestSum(t *testing.T) {
	for _, count := range []int{1, 14, 15, 16, 31} {
		system := gadgettest.Compile(t, &sumCircuit{In: make([]frontend.Variable, count)})
		in := numbers(count)
		out := Native(tag, in...)
		gadgettest.Honest(t, system, assign(in, out))
		for at := range in {
			forged := append([]fr.Element{}, in...)
			forged[at].SetUint64(99)
			gadgettest.Forged(t, "an input", system, assign(forged, out))
		}
		swapped := numbers(count)
		swapped[0], swapped[count-1] = swapped[count-1], swapped[0]
		if count > 1 {
			gadgettest.Forged(t, "order", system, assign(swapped, out))
		}
		gadgettest.Forged(t, "another tag", system, assign(in, Native(tag+1, in...)))
	}
}

// Zeros at the end must not be free: they fill blocks.
func TestLengthIsBound(t *testing.T) {
	short := numbers(3)
	long := append(numbers(3), fr.Element{})
	if a, b := Native(tag, short...), Native(tag, long...); a.Equal(&b) {
		t.Error("a zero at the end does not change the hash")
	}
}
