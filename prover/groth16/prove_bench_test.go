package groth16_test

import (
	"context"
	"os"
	"syscall"
	"testing"

	"provery/prover/groth16"
	"provery/prover/wtns"
	"provery/prover/zkey"
)

// BenchmarkProve proves with the key and witness named by PROVERY_BENCH_ZKEY and PROVERY_BENCH_WTNS, on one
// thread, with multiples of up to 512 MiB.
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
	pk, err := groth16.NewProvingKey(key, 512<<20, 2)
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
	cpu := func() float64 {
		var usage syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
		return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
	}
	b.ResetTimer()
	start := cpu()
	for range b.N {
		if _, err := pk.Prove(context.Background(), witness, 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpu()-start)/float64(b.N), "cpu-ms/op")
}
