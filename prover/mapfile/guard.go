package mapfile

import (
	"runtime/debug"

	"provery/prover/fault"
)

// ErrUnreadable is what Guard returns when a mapped file cannot be read.
var ErrUnreadable = fault.New(fault.InvalidKey,
	"a file mapped into memory cannot be read any more: it was cut short while in use, or its disk failed; audit the keys")

// Guard runs work, which may read mapped files, and returns its error. A mapping reaches as far as its file did when it
// was made, and reading a page that the file has lost since, or that its disk does not give, is a fault, which would
// end the process; here it ends the work with ErrUnreadable. Goroutines that work starts must pass their panics on:
// see Fragile.
func Guard(work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		// of a program without unsafe writes, only mapped memory faults at an address that is not nil
		if _, faulted := r.(interface{ Addr() uintptr }); faulted {
			err = ErrUnreadable
		} else if r != nil {
			panic(r)
		}
	}()
	return work()
}

// Fragile prepares a goroutine that reads mapped files to panic where a page cannot be read, as Guard's own does. It
// must recover and panic on the goroutine that waits for it.
func Fragile() { debug.SetPanicOnFault(true) }
