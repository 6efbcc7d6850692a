package statement

import (
	"math"
	"sync"
	"time"

	"provery/prover/keys"
)

// secondsPerMillion are how long a million constraints take in each phase, in seconds, on two cores: what progress is
// estimated by, since gnark's prover does not tell.
var secondsPerMillion = map[string]float64{"load": 0.8, "solve": 1, "prove": 10, "verify": 0.01}

// pace reports the progress of phases by the time they usually take.
type pace struct {
	tell        keys.Progress
	constraints float64
	lock        sync.Mutex
	name        string
	begun       time.Time
	took        map[string]float64
	done        chan struct{}
}

func newPace(tell keys.Progress, constraints int) *pace {
	p := &pace{tell: tell, constraints: float64(constraints), took: map[string]float64{}, done: make(chan struct{})}
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

// phase ends the phase at work and begins the named one; none if empty.
func (p *pace) phase(name string) {
	p.lock.Lock()
	if p.name != "" {
		p.took[p.name] = time.Since(p.begun).Seconds()
	}
	p.name, p.begun = name, time.Now()
	p.lock.Unlock()
	if name != "" {
		p.report()
	}
}

func (p *pace) report() {
	p.lock.Lock()
	name, share := p.name, time.Since(p.begun).Seconds()/(secondsPerMillion[p.name]*p.constraints/1e6)
	p.lock.Unlock()
	if name != "" {
		p.tell(name, estimate(share))
	}
}

func (p *pace) stop() { close(p.done) }

// estimate is the fraction done after a share of the usual time: straight up to four fifths, then ever slower, so that
// a slow machine does not see a full bar that stands still.
func estimate(share float64) float64 {
	const straight = 0.8
	if share <= straight {
		return share
	}
	return straight + (1-straight)*(1-math.Exp(-(share-straight)/(2*(1-straight))))
}
