//go:build unix

package serve

import (
	"runtime"
	"syscall"
	"time"
)

// cpuSeconds is the processor time, user and system, of the calling thread (where the system tells) or of
// the whole process.
func cpuSeconds(thread bool) float64 {
	const whoThread = 1 // RUSAGE_THREAD on Linux
	who := syscall.RUSAGE_SELF
	if thread && runtime.GOOS == "linux" {
		who = whoThread
	}
	var usage syscall.Rusage
	if syscall.Getrusage(who, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// UsageSince is what a one-shot command took: processor time and memory of the process so far, wall time since start.
func UsageSince(start time.Time) any {
	return usage{cpuSeconds(false), time.Since(start).Seconds(), peakRSSBytes()}
}

// peakRSSBytes is the most memory the process ever had resident.
func peakRSSBytes() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) * 1024
}
