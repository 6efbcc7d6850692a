package pace

import (
	"testing"
)

func TestFractionsOnlyGrow(t *testing.T) {
	var seen []float64
	var phases []string
	p := New(func(phase string, done float64) { seen, phases = append(seen, done), append(phases, phase) },
		Scale([]Step{{"load", "load", 1}, {"left out", "prove", 1}, {"sum", "prove", 2}}, 1_000_000))
	p.Begin("load")
	p.Begin("sum")
	p.Count(0.5)
	p.report()
	took := p.Stop()
	p.Stop()
	if len(seen) != 3 || seen[0] > 0.01 || seen[1] < 0.5 || seen[1] > 0.51 || seen[2] != 0.75 || phases[2] != "prove" {
		t.Errorf("reports %v of %v", seen, phases)
	}
	if len(took) != 2 || took["load"] < 0 {
		t.Errorf("took %v", took)
	}
}

func TestASlowStepNeverFills(t *testing.T) {
	last := -1.0
	for _, share := range []float64{0, 0.5, 0.8, 1, 2, 3} {
		if got := estimate(share); got <= last || got >= 1 {
			t.Errorf("estimate(%v) = %v after %v", share, got, last)
		} else {
			last = got
		}
	}
	if estimate(0.5) != 0.5 {
		t.Error("the first four fifths are straight")
	}
}
