package groth16_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"

	"provery/prover/groth16"
	"provery/prover/wtns"
	"provery/prover/zkey"
)

// BenchmarkProve proves with the key and witness named by PROVERY_BENCH_ZKEY and PROVERY_BENCH_WTNS, on one
// thread, without multiples and with up to 128 and 512 MiB of them.
func BenchmarkProve(b *testing.B) {
	keyPath, witnessPath := os.Getenv("PROVERY_BENCH_ZKEY"), os.Getenv("PROVERY_BENCH_WTNS")
	if keyPath == "" || witnessPath == "" {
		b.Skip("PROVERY_BENCH_ZKEY and PROVERY_BENCH_WTNS are not set")
	}
	data, err := os.ReadFile(keyPath)
	if err != nil {
		b.Fatal(err)
	}
	key, err := zkey.Parse(data)
	if err != nil {
		b.Fatal(err)
	}
	if data, err = os.ReadFile(witnessPath); err != nil {
		b.Fatal(err)
	}
	witness, err := wtns.Parse(data)
	if err != nil {
		b.Fatal(err)
	}
	for _, room := range []int64{0, 128, 512} {
		b.Run(fmt.Sprintf("multiples=%dMiB", room), func(b *testing.B) {
			pk, err := groth16.NewProvingKey(key, 0, 1)
			if err != nil {
				b.Fatal(err)
			}
			start := cpuSeconds()
			pk.Widen(room<<20, 1)
			made := cpuSeconds() - start
			start = cpuSeconds()
			for b.Loop() {
				if _, err := pk.Prove(context.Background(), witness, 1, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuSeconds()-start)/float64(b.N), "cpu-s/op")
			b.ReportMetric(made, "cpu-s-of-multiples")
			b.ReportMetric(float64(pk.Bytes())/(1<<20), "MiB-of-key")
		})
	}
}

// cpuSeconds is the processor time of this process.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
