package statement

import (
	"errors"
	"os"
	"testing"

	"provery/prover/circuits"
	"provery/prover/fault"
)

// residentTest is a rig of either scheme whose proofs keep what they take.
func residentTest(t *testing.T, c *circuits.Circuit, limit int64) *rig {
	c.Resident = true
	r := newRig(t, c, `{"x":"3"}`)
	r.setUp()
	r.order.Residents = NewResidents(limit)
	return r
}

func TestResidents(t *testing.T) {
	for _, c := range []*circuits.Circuit{circuits.SelfTest(), circuits.SelfTestPlonk()} {
		r := residentTest(t, c, 1<<30)
		r.prove()
		held := r.order.Residents.recent
		if len(held) != 1 || held[0].instrument.bytes() == 0 {
			t.Fatalf("%s: %d are held", c.Name, len(held))
		}
		// what is held needs no files: a false statement leaves it, too
		r.prove()
		r.write(r.order.Input, []byte(`{"x":"3","y":"4"}`))
		var known *fault.Error
		if _, err := r.order.Prove(r.circuit, quiet); !errors.As(err, &known) || known.Kind != fault.InvalidWitness {
			t.Errorf("%s: %v", c.Name, err)
		}
		if now := r.order.Residents.recent; len(now) != 1 || now[0] != held[0] {
			t.Errorf("%s: it was dropped", c.Name)
		}
		r.write(r.order.Input, []byte(`{"x":"3"}`))
		r.prove()
		if _, err := r.order.Verify(r.circuit); err != nil {
			t.Error(err)
		}
	}
}

func TestResidentsAreBounded(t *testing.T) {
	r := residentTest(t, circuits.SelfTestPlonk(), 1)
	r.prove()
	if len(r.order.Residents.recent) != 0 {
		t.Error("more is held than allowed")
	}
	one := residentTest(t, circuits.SelfTestPlonk(), 1<<30)
	one.prove()
	residents := one.order.Residents
	residents.limit = residents.recent[0].instrument.bytes() + 1
	other := residentTest(t, circuits.SelfTest(), 0)
	other.order.Residents = residents
	other.prove()
	if len(residents.recent) != 1 || residents.recent[0].store != other.order.Keys {
		t.Errorf("%d are held", len(residents.recent))
	}
	one.prove() // reads its key again
}

// A key that is damaged while it is held is found when a proof made with it does not verify, named, and not held on to.
func TestDamagedResident(t *testing.T) {
	for _, c := range []*circuits.Circuit{circuits.SelfTest(), circuits.SelfTestPlonk()} {
		r := residentTest(t, c, 1<<30)
		r.prove()
		path := r.file("pk")
		good := r.read(path)
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		// in place, as a failing disk would: the mapping sees it
		if _, err := file.WriteAt(make([]byte, len(good)-4096), 4096); err != nil {
			t.Fatal(err)
		}
		file.Close()
		_, err = r.order.Prove(r.circuit, quiet)
		var known *fault.Error
		if err != nil && (!errors.As(err, &known) || known.Kind != fault.InvalidKey) {
			t.Errorf("%s: %v", c.Name, err)
		}
		if c.Scheme == circuits.Groth16 && err == nil {
			t.Errorf("%s: a proof was made with a damaged key", c.Name)
		}
		if err != nil && len(r.order.Residents.recent) != 0 {
			t.Errorf("%s: it is still held", c.Name)
		}
		r.write(path, good)
		r.prove()
	}
}
