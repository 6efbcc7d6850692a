package plonk

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gnark "github.com/consensys/gnark/backend/plonk/bn254"
)

// TestMeasure measures proofs of a circuit of 2^PLONK_POWER gates; it is no test without. PLONK_GNARK measures gnark's
// own prover instead.
func TestMeasure(t *testing.T) {
	power, err := strconv.Atoi(os.Getenv("PLONK_POWER"))
	if err != nil {
		t.Skip("set PLONK_POWER to measure")
	}
	last, wall := cpu(), time.Now()
	tell := func(what string) {
		now := cpu()
		t.Logf("%-20s %6.1f CPU-s %6.1f s, peak %d MB", what, now-last, time.Since(wall).Seconds(), peak())
		last, wall = now, time.Now()
	}
	r := newRig(t, 1<<(power-1)-8, 0)
	tell("SRS and set-up")
	forget(t)
	if os.Getenv("PLONK_GNARK") != "" {
		pk, _ := r.gnarkKeys()
		tell("gnark's set-up")
		forget(t)
		if _, err := gnark.Prove(r.system, pk, r.witness); err != nil {
			t.Fatal(err)
		}
		tell("gnark's proof")
		return
	}
	key, err := r.key()
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	start := cpu()
	proof, err := Prove(r.system, key, r.witness, 2, func(step string) { tell("before " + step) })
	if err != nil {
		t.Fatal(err)
	}
	tell("the rest")
	t.Logf("proof: %.1f CPU-s", cpu()-start)
	if err := Verify(EncodeProof(proof), r.vk, r.public); err != nil {
		t.Fatal(err)
	}
}

func cpu() float64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// peak is the most memory in MB since forget.
func peak() int {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		var kilobytes int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
			return kilobytes / 1024
		}
	}
	return 0
}

func forget(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Log("the peak is that since the start:", err)
	}
}
