// Package pace tells how far a long piece of work has come, by measure where there is one and else by the time it
// usually takes.
package pace

import (
	"math"
	"sync"
	"time"
)

// Tell is told the phase at work and how much of the whole is done, from 0 to 1.
type Tell func(phase string, done float64)

// Step is one part of the work.
type Step struct {
	// Name is for the record, Phase for people: several steps may be one phase.
	Name, Phase string
	// Seconds is how long it usually takes.
	Seconds float64
}

// Usual makes a step.
func Usual(name, phase string, seconds float64) Step { return Step{name, phase, seconds} }

// Scale returns steps whose times are given for a million constraints on two cores.
func Scale(steps []Step, constraints int) []Step {
	out := make([]Step, len(steps))
	for i, step := range steps {
		step.Seconds *= float64(constraints) / 1e6
		out[i] = step
	}
	return out
}

// Pace reports progress every half second until it is stopped.
type Pace struct {
	tell  Tell
	steps []Step
	total float64
	done  chan struct{}

	lock    sync.Mutex
	at      int // the step at work; −1 before the first
	begun   time.Time
	counted float64 // the share of the step that was measured, −1 if it is not
	took    map[string]float64
}

// New starts a pace for steps, which Begin must name in order; some may be left out.
func New(tell Tell, steps []Step) *Pace {
	p := &Pace{tell: tell, steps: steps, done: make(chan struct{}), at: -1, took: map[string]float64{}}
	for _, step := range steps {
		p.total += step.Seconds
	}
	go func() {
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-ticker.C:
				p.report()
			}
		}
	}()
	return p
}

// Begin ends the step at work and begins the named one.
func (p *Pace) Begin(name string) {
	p.lock.Lock()
	p.finish()
	for p.at++; p.at < len(p.steps) && p.steps[p.at].Name != name; p.at++ {
	}
	p.begun, p.counted = time.Now(), -1
	p.lock.Unlock()
	p.report()
}

// Count says which share of the step at work is done.
func (p *Pace) Count(share float64) {
	p.lock.Lock()
	p.counted = share
	p.lock.Unlock()
}

// Stop ends the last step and the reports; it returns the seconds that each step took.
func (p *Pace) Stop() map[string]float64 {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.at < len(p.steps) {
		p.finish()
		p.at = len(p.steps)
		close(p.done)
	}
	return p.took
}

func (p *Pace) finish() {
	if p.at >= 0 && p.at < len(p.steps) {
		p.took[p.steps[p.at].Name] = time.Since(p.begun).Seconds()
	}
}

func (p *Pace) report() {
	p.lock.Lock()
	if p.at < 0 || p.at >= len(p.steps) {
		p.lock.Unlock()
		return
	}
	step := p.steps[p.at]
	share := p.counted
	if share < 0 {
		share = estimate(time.Since(p.begun).Seconds() / step.Seconds)
	}
	done := share * step.Seconds
	for _, before := range p.steps[:p.at] {
		done += before.Seconds
	}
	p.lock.Unlock()
	p.tell(step.Phase, done/p.total)
}

// estimate is the fraction done after a share of the usual time: straight up to four fifths, then ever slower, so that
// a slow machine does not see a full bar that stands still.
func estimate(share float64) float64 {
	const straight = 0.8
	if share <= straight {
		return share
	}
	return straight + (1-straight)*(1-math.Exp(-(share-straight)/(2*(1-straight))))
}
