// Package crew runs parts of a piece of work at once. A panic of one part is a panic of whoever waits for them: where
// it stayed on its own goroutine, it would end the process, and with it every other proof.
package crew

import (
	"sync"
	"sync/atomic"

	"provery/prover/mapfile"
)

// Crew is a set of goroutines with one that waits for them. The zero value is ready.
type Crew struct {
	group sync.WaitGroup
	crash atomic.Pointer[any]
}

// Go runs work on a goroutine of its own, which may read mapped files under the mapfile.Guard of the one that waits.
func (c *Crew) Go(work func()) {
	c.group.Add(1)
	go func() {
		defer c.group.Done()
		defer func() {
			if r := recover(); r != nil {
				c.crash.CompareAndSwap(nil, &r)
			}
		}()
		mapfile.Fragile()
		work()
	}()
}

// Wait waits until all work has ended. It panics with what the first that panicked did; the others have run on.
func (c *Crew) Wait() {
	c.group.Wait()
	if r := c.crash.Load(); r != nil {
		panic(*r)
	}
}
