package gadgettest

import (
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/math/bits"
)

// free are hints whose answers a prover may choose, or cannot: the blinding of the proof system's commitment, and the
// challenge that the proof system computes in its place.
var free = []string{"hints.Randomize", "Bsb22CommitmentComputePlaceholder"}

// Asked is a hint that an honest prover's solver asks.
type Asked struct {
	Hint solver.Hint
	Name string
	// Calls is how often.
	Calls int
}

// Hints returns the hints that the solver asks for an honest assignment, but for free ones.
func Hints(t testing.TB, system constraint.ConstraintSystem, assignment frontend.Circuit) (out []Asked) {
	t.Helper()
	var lock sync.Mutex
	hints := solver.GetRegisteredHints()
	asked := make([]Asked, len(hints))
	var options []solver.Option
	for i, hint := range hints {
		asked[i] = Asked{Hint: hint, Name: solver.GetHintName(hint)}
		counted := func(field *big.Int, inputs, outputs []*big.Int) error {
			lock.Lock()
			asked[i].Calls++
			lock.Unlock()
			return hint(field, inputs, outputs)
		}
		options = append(options, solver.OverrideHint(solver.GetHintID(hint), counted))
	}
	if err := Solve(t, system, assignment, options...); err != nil {
		t.Errorf("honest witness refused: %v", err)
	}
	for _, one := range asked {
		is := func(end string) bool { return strings.HasSuffix(one.Name, end) }
		if one.Calls > 0 && !slices.ContainsFunc(free, is) {
			out = append(out, one)
		}
	}
	return out
}

// Lie has a hint answer as it does, but for the first or the last answer of one call, to which one is added. Calls are
// counted in the order that the solver makes them, from zero.
func Lie(hint solver.Hint, call int, last bool) solver.Option {
	var lock sync.Mutex
	calls := 0
	return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
		if err := hint(field, inputs, outputs); err != nil {
			return err
		}
		lock.Lock()
		defer lock.Unlock()
		if calls == call {
			answer := outputs[0]
			if last {
				answer = outputs[len(outputs)-1]
			}
			answer.Add(answer, big.NewInt(1))
		}
		calls++
		return nil
	})
}

// NoBits has one of the library's decompositions into bits answered by other digits of the same value: two more in one
// place, one less in the next.
func NoBits(t testing.TB, call, digit int) solver.Option {
	t.Helper()
	for _, hint := range bits.GetHints() {
		if !strings.HasSuffix(solver.GetHintName(hint), ".nBits") {
			continue
		}
		calls := 0
		return solver.OverrideHint(solver.GetHintID(hint), func(field *big.Int, inputs, outputs []*big.Int) error {
			if err := hint(field, inputs, outputs); err != nil {
				return err
			}
			if calls == call {
				outputs[digit].Add(outputs[digit], big.NewInt(2))
				outputs[digit+1].Sub(outputs[digit+1], big.NewInt(1))
			}
			calls++
			return nil
		})
	}
	t.Fatal("the library has no such hint")
	return nil
}

// Lies fails the test if an honest assignment satisfies system although a hint has lied. Of each hint so many calls are
// tried, from the first to the last, and in turn their first and their last answer: some answers between are not used.
func Lies(t testing.TB, system constraint.ConstraintSystem, assignment frontend.Circuit, each int) {
	t.Helper()
	hints := Hints(t, system, assignment)
	if len(hints) == 0 {
		t.Error("no hint is asked")
	}
	for _, one := range hints {
		for k := range each {
			call, last := k*(one.Calls-1)/max(1, each-1), k%2 == 1
			if Solve(t, system, assignment, Lie(one.Hint, call, last)) == nil {
				t.Errorf("%s: a lie in call %d of %d is believed (last answer: %v)", one.Name, call, one.Calls, last)
			}
		}
	}
}
