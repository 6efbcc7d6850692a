package circuit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"provery/prover/circuits"
)

// TestMeasure measures proofs of a graph of the vectors with what they take held in memory; it is no test without:
//
//	ZKML_MEASURE=spending go test ./provery/systems/zkml/circuit -run TestMeasure -v
//
// ZKML_SCHEME says which scheme, plonk without: peaks of memory are those of the process.
func TestMeasure(t *testing.T) {
	graph := os.Getenv("ZKML_MEASURE")
	if graph == "" {
		t.Skip("set ZKML_MEASURE to measure")
	}
	scheme := os.Getenv("ZKML_SCHEME")
	catalog := &circuits.Catalog{Families: []*circuits.Family{Family()}}
	r := newRig(t, catalog, filepath.Join(t.TempDir(), "keys"), graph, scheme)
	prove := func(threads int) (cpu, wall time.Duration) {
		r.order.Threads = threads
		start, before := time.Now(), used()
		if _, err := r.order.Prove(r.circuit, quiet); err != nil {
			t.Fatal(err)
		}
		return used() - before, time.Since(start)
	}
	cpu, wall := prove(2)
	t.Logf("first proof: %v CPU, %v", cpu, wall)
	for threads := 1; threads <= 2; threads++ {
		var all, walls []time.Duration
		for range 41 {
			cpu, wall := prove(threads)
			all, walls = append(all, cpu), append(walls, wall)
		}
		slices.Sort(all)
		slices.Sort(walls)
		t.Logf("%d threads: %v CPU median, %v least; %v median, %v least", threads, all[20], all[0], walls[20], walls[0])
	}
	t.Logf("peak %d MiB, held %d KiB", peak(), r.order.Residents.Bytes()>>10)
}

func used() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// peak is the most memory of the process in MiB.
func peak() (kilobytes int) {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
			return kilobytes >> 10
		}
	}
	return 0
}
