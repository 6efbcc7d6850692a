package mapfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"

	"provery/prover/mapfile"
	"provery/prover/msm"
)

type head struct{ mapfile.Table }

func TestFileCutShortWhileMapped(t *testing.T) {
	const count = 20_000
	_, _, base, _ := bn254.Generators()
	points, scalars := make([]bn254.G1Affine, count), make([]msm.Scalar, count)
	for i := range points {
		points[i], scalars[i] = base, msm.Scalar{1, 2, 3, uint64(i)}
	}
	path := filepath.Join(t.TempDir(), "points")
	w, err := mapfile.Create(path, "PRVTEST\x01", new(head))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Section("points", mapfile.Bytes(points)), w.Close()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := mapfile.Map(path, info.Size(), "PRVTEST\x01", new(head))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mapped := mapfile.View[bn254.G1Affine](file.Section("points"))
	sum := func(threads int) error {
		return mapfile.Guard(func() error {
			msm.SumG1(mapped, scalars, threads)
			return nil
		})
	}
	for _, length := range []int64{info.Size(), info.Size() / 2, mapfile.HeaderBytes, 0} {
		if err := os.Truncate(path, length); err != nil {
			t.Fatal(err)
		}
		for threads := 1; threads <= 4; threads++ {
			if err := sum(threads); errors.Is(err, mapfile.ErrUnreadable) != (length < info.Size()) || err != nil && length == info.Size() {
				t.Errorf("%d bytes left, %d threads: %v", length, threads, err)
			}
		}
	}
}

func TestGuardPassesOtherPanicsOn(t *testing.T) {
	for _, work := range []func(){func() { panic("other") }, func() { _ = *(*int)(nil) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = mapfile.Guard(func() error { work(); return nil })
		}()
	}
	want := errors.New("plain")
	if err := mapfile.Guard(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}
