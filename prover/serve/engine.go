// Package serve runs jobs against artefacts kept in memory, for the command line and, as JSON lines over
// standard input and output, for a worker that drives the program as a child process. The protocol is
// described in docs/native-prover.md.
package serve

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"provery/prover/circom"
	"provery/prover/circuits"
	"provery/prover/crew"
	"provery/prover/fault"
	"provery/prover/groth16"
	"provery/prover/statement"
	"provery/prover/zkey"
)

// Options bound what an engine uses.
type Options struct {
	// Threads used at once; 0 means one per processor.
	Threads int
	// MaxKeyBytes bounds the memory of all keys on the shelf, and so of any one.
	MaxKeyBytes int64
	// TableBytes bounds, per key, the memory for multiples of its points.
	TableBytes int64
	// EagerBytes: keys whose file is at most this long get their multiples when loaded, longer ones once
	// WidenAfter proofs were made with them.
	EagerBytes int64
	WidenAfter int64
	// CacheDir, if not empty, keeps compiled witness generators between runs.
	CacheDir string
	// Circuits are the program's own, for the ops circuit_….
	Circuits *circuits.Catalog
	// StatementBytes bounds the memory of what proofs of short circuits keep between them.
	StatementBytes int64
}

// DefaultOptions suit a worker on a machine with some gigabytes to spare.
func DefaultOptions() Options {
	return Options{Threads: runtime.GOMAXPROCS(0), MaxKeyBytes: 4 << 30, TableBytes: 512 << 20, EagerBytes: 8 << 20, WidenAfter: 50,
		Circuits: &circuits.Catalog{}, StatementBytes: 1 << 30}
}

const (
	// maxFileBytes bounds witnesses, inputs, proofs and verifying keys read.
	maxFileBytes = 4 << 30
	// maxGeneratorBytes bounds all witness generators together, as estimated.
	maxGeneratorBytes = 2 << 30
	// acrossItems: keys of at most this many signals are proved with one thread per item, many items at once.
	acrossItems = 1 << 17
)

// Engine does jobs. It is safe for concurrent use.
type Engine struct {
	options    Options
	keys       *shelf[*keyEntry]
	generators *shelf[*circom.Calculator]
	verifiers  *shelf[*groth16.VerifyingKey]
	statements *statement.Residents
	background sync.WaitGroup
}

// keyEntry is a resident proving key.
type keyEntry struct {
	pk      *groth16.ProvingKey
	summary zkey.Summary
	proofs  atomic.Int64
	lock    sync.Mutex
	wide    bool
}

// NewEngine makes an engine with nothing loaded.
func NewEngine(options Options) *Engine {
	if options.Threads <= 0 {
		options.Threads = runtime.GOMAXPROCS(0)
	}
	return &Engine{options: options, keys: newShelf[*keyEntry](options.MaxKeyBytes),
		generators: newShelf[*circom.Calculator](maxGeneratorBytes), verifiers: newShelf[*groth16.VerifyingKey](64 << 20),
		statements: statement.NewResidents(options.StatementBytes)}
}

// widen computes a key's multiples if it has none, as far as the shelf has room.
func (e *Engine) widen(entry *keyEntry, threads int) {
	entry.lock.Lock()
	defer entry.lock.Unlock()
	if entry.wide {
		return
	}
	room := e.options.MaxKeyBytes - e.keys.bytes()
	if extra := min(e.options.TableBytes, room); extra > 0 {
		entry.pk.Widen(extra, threads)
	}
	entry.wide = true
}

// widenLater starts widening in the background when the key has been used often enough.
func (e *Engine) widenLater(entry *keyEntry, proofs int64) {
	before := entry.proofs.Add(proofs) - proofs
	if before >= e.options.WidenAfter || before+proofs < e.options.WidenAfter || e.options.TableBytes == 0 {
		return
	}
	e.background.Add(1)
	go func() {
		defer e.background.Done()
		defer func() { _ = recover() }() // the key goes on working without its multiples
		e.widen(entry, 1)
	}()
}

// eachItem runs work for every item, several at a time if workers allows, each guarded: a panic becomes the
// item's error of kind internal. Of a failed item's outcome, the error and the time it took are left.
func eachItem(outcomes []Outcome, workers int, work func(i int) error) {
	var next atomic.Int64
	var all crew.Crew
	for range max(1, min(workers, len(outcomes))) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(outcomes); i = int(next.Add(1)) - 1 {
				if err := guarded(func() error { return work(i) }); err != nil {
					outcomes[i] = Outcome{CPU: outcomes[i].CPU, Wall: outcomes[i].Wall, Error: fault.Of(err)}
				}
			}
		})
	}
	all.Wait()
}

// guarded turns a panic into an error of kind internal.
func guarded(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "%s", fault.Shorten(fmt.Sprintf("panic: %v", r), 300))
		}
	}()
	return work()
}

// meter measures one item's time. With alone, the item runs on this thread only and the thread's processor
// time is taken, else the process's.
type meter struct {
	start time.Time
	cpu   float64
	alone bool
}

func startMeter(alone bool) meter {
	if alone {
		runtime.LockOSThread()
	}
	return meter{time.Now(), cpuSeconds(alone), alone}
}

func (m meter) stop() (cpu, wall float64) {
	cpu, wall = cpuSeconds(m.alone)-m.cpu, time.Since(m.start).Seconds()
	if m.alone {
		runtime.UnlockOSThread()
	}
	return
}
