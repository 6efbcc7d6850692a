package circuit

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/frontend/cs/scs"
	"github.com/consensys/gnark/logger"

	"provery/prover/gadget/gadgettest"
)

func init() { logger.Disable() }

// builders are those of the two schemes.
var builders = map[string]frontend.NewBuilder{"groth16": r1cs.NewBuilder[constraint.U64], "plonk": scs.NewBuilder[constraint.U64]}

func compile(t testing.TB, scheme string, c frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	system, err := frontend.Compile(ecc.BN254.ScalarField(), builders[scheme], c, frontend.IgnoreUnconstrainedInputs())
	if err != nil {
		t.Fatal(err)
	}
	return system
}

func witness(t testing.TB, g *Graph, given []int64) *Inference {
	t.Helper()
	in := &inputs{quantised: integers(given)}
	if g.Visibility == Committed {
		in.salt.SetUint64(99)
	}
	return g.assign(in)
}

// The circuits hold for what is true, of every operation, at the ends of the inputs too.
func TestHonest(t *testing.T) {
	for _, name := range graphs(t) {
		g := read(t, name)
		for scheme := range builders {
			system := compile(t, scheme, New(g))
			for seed := range uint64(8) {
				gadgettest.Honest(t, system, witness(t, g, random(g, seed)))
			}
		}
	}
}

// public lists the public values of a circuit.
func publicValues(c *Inference) map[string]*frontend.Variable {
	out := map[string]*frontend.Variable{"model": &c.Model}
	for i := range c.Inputs {
		out[fmt.Sprint("input ", i)] = &c.Inputs[i]
	}
	for i := range c.Outputs {
		out[fmt.Sprint("output ", i)] = &c.Outputs[i]
	}
	return out
}

// What is false of another public value has no witness: each is changed alone, by one, and to the negative of itself.
// The inputs of these graphs are so large that each counts.
func TestPublicValuesAreStated(t *testing.T) {
	for _, name := range []string{"dense", "relu", "mul", "spending", "network", "softmax", "sigmoid", "hashed", "commitment"} {
		g := read(t, name)
		for scheme := range builders {
			system := compile(t, scheme, New(g))
			one := fr.One()
			for what := range publicValues(witness(t, g, random(g, 9))) {
				c := witness(t, g, random(g, 9))
				value := publicValues(c)[what]
				was := (*value).(fr.Element)
				changed := was
				if what[0] == 'i' && g.Visibility == Public {
					// another input that gives other outputs, or this would be another true statement
					given := random(g, 9)
					var i int
					_, _ = fmt.Sscanf(what, "input %d", &i)
					given[i] ^= 1 << (g.InputBits - 1)
					changed = witness(t, g, given).Inputs[i].(fr.Element)
					if same(witness(t, g, given).Outputs, c.Outputs) {
						continue
					}
				} else {
					changed.Add(&was, &one)
				}
				*value = changed
				gadgettest.Forged(t, name+" "+scheme+": another "+what, system, c)
				if !was.IsZero() && what[0] == 'o' {
					*value = *changed.Neg(&was)
					gadgettest.Forged(t, name+" "+scheme+": the negative of "+what, system, c)
				}
			}
		}
	}
}

func same(a, b []frontend.Variable) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// A hint that lies is not believed: one is added to answers, first and last, of calls all over the circuit.
func TestLies(t *testing.T) {
	for _, name := range graphs(t) {
		g := read(t, name)
		for scheme := range builders {
			system, c := compile(t, scheme, New(g)), witness(t, g, random(g, 8))
			for _, one := range gadgettest.Hints(t, system, c) {
				for k := range 6 {
					call, last := k*(one.Calls-1)/5, k%2 == 1
					lie := gadgettest.Lie(one.Hint, call, last)
					if strings.HasSuffix(one.Name, "InvZeroHint") {
						// the inverse of zero is free: no constraint that it is in can be anything but true
						lie = lieUnlessZero(one.Hint)
						if gadgettest.Solve(t, system, c, failUnlessZero(one.Hint)) == nil {
							continue // all of these calls were for zeros
						}
					}
					gadgettest.Forged(t, fmt.Sprintf("%s %s: %s lies in call %d", name, scheme, one.Name, call), system, c, lie)
				}
			}
		}
	}
}

// lieUnlessZero has a hint add one to what it answers for numbers other than zero.
func lieUnlessZero(hint solver.Hint) solver.Option {
	return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
		err := hint(field, inputs, outputs)
		if inputs[0].Sign() != 0 {
			outputs[0].Add(outputs[0], big.NewInt(1))
		}
		return err
	})
}

// failUnlessZero has a hint fail for numbers other than zero.
func failUnlessZero(hint solver.Hint) solver.Option {
	return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
		if inputs[0].Sign() != 0 {
			return errHint
		}
		return hint(field, inputs, outputs)
	})
}

// An input out of range has no witness, whatever digits are said to be its.
func TestInputsOutOfRange(t *testing.T) {
	g := read(t, "shift") // no operation but sums and a range check
	for scheme := range builders {
		system := compile(t, scheme, New(g))
		end := new(big.Int).Lsh(big.NewInt(1), uint(g.InputBits))
		for _, value := range []*big.Int{end, new(big.Int).Neg(end), new(big.Int).Lsh(end, 1), new(big.Int).Lsh(end, 3), new(big.Int).Sub(fr.Modulus(), new(big.Int).Lsh(end, 1))} {
			in := &inputs{quantised: append([]*big.Int{value}, integers(random(g, 6))[1:]...)}
			c := g.assign(in)
			gadgettest.Forged(t, fmt.Sprint(scheme, " input ", value), system, c)
			for last := range 2 {
				forged := solver.OverrideHint(solver.GetHintID(rangeHint), func(field *big.Int, inputs, outputs []*big.Int) error {
					return forceDigits(field, inputs, outputs, last == 1)
				})
				gadgettest.Forged(t, fmt.Sprint(scheme, " input ", value, " forced"), system, c, forged)
			}
		}
		c := g.assign(&inputs{quantised: []*big.Int{new(big.Int).Sub(end, big.NewInt(1)), new(big.Int).Sub(big.NewInt(1), end), new(big.Int), big.NewInt(-1)}})
		gadgettest.Honest(t, system, c)
	}
}

// forceDigits answers digits of the right value, the last but one of which is as large as it takes.
func forceDigits(field *big.Int, inputs, outputs []*big.Int, last bool) error {
	count := len(outputs)
	rest := signed(field, inputs[0])
	outputs[count-1].SetUint64(1)
	if !last {
		rest = new(big.Int).Add(rest, inputs[1])
		outputs[count-1].SetUint64(0)
	}
	rest = new(big.Int).Mod(rest, field)
	for i := range count - 1 {
		width := uint(inputs[2+i].Uint64())
		if i == count-2 {
			outputs[i].Set(rest)
			break
		}
		outputs[i].And(rest, big.NewInt(1<<width-1))
		rest.Rsh(rest, width)
	}
	return nil
}

// Another model's commitment has no witness, nor has its output.
func TestAnotherModel(t *testing.T) {
	g, other := read(t, "dense"), read(t, "relu")
	for scheme := range builders {
		system := compile(t, scheme, New(g))
		c := witness(t, g, random(g, 7))
		c.Model = other.Commitment
		gadgettest.Forged(t, scheme+": another model", system, c)
	}
}
