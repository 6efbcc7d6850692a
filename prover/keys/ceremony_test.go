package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provery/prover/circuits"
	"provery/prover/depot"
)

func quiet(string, float64) {}

var (
	known  = []*circuits.Circuit{circuits.SelfTest()}
	beacon = strings.Repeat("5a", 32)
)

// held is a ceremony with two contributions to each phase, the first of which is sealed.
func held(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ceremony")
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(InitCeremony(known[0], dir))
	for phase := range 2 {
		check(Contribute(known, dir, "anna", quiet))
		check(Contribute(known, dir, "ben", quiet))
		check(VerifyCeremony(known, dir, quiet))
		if phase == 0 {
			_, _, err := Seal(known, dir, beacon, Store{}, quiet)
			check(nil, err)
		}
	}
	return dir
}

func TestCeremonyMakesSecureKeys(t *testing.T) {
	dir, store := held(t), Store{t.TempDir()}
	before, err := os.ReadFile(filepath.Join(dir, ceremonyFile))
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := Seal(known, dir, beacon, store, quiet)
	if err != nil {
		t.Fatal(err)
	}
	// killed after the keys were installed, before that was recorded
	if err := os.WriteFile(filepath.Join(dir, ceremonyFile), before, 0o644); err != nil {
		t.Fatal(err)
	}
	state, m, err := Seal(known, dir, beacon, store, quiet)
	if err != nil || m.SetupID != first.SetupID {
		t.Fatal(m, err)
	}
	if m.Setup.Kind != Ceremony || m.Setup.Insecure || m.Setup.Warning != "" || len(m.Setup.Contributions) != 4 || len(m.Setup.Beacons) != 2 || state.Phase != 3 {
		t.Errorf("sealed %+v, %+v", state, m)
	}
	current, err := store.Current(known[0].ID)
	if err != nil || current == nil || current.SetupID != m.SetupID || store.Audit(current) != nil {
		t.Errorf("in use is %+v, %v", current, err)
	}
	if _, err := Contribute(known, dir, "carl", quiet); err == nil {
		t.Error("a ceremony that is over takes contributions")
	}
	if _, _, err := Seal(known, dir, beacon, store, quiet); err == nil {
		t.Error("a ceremony that is over can be sealed")
	}
}

func TestBrokenCeremoniesAreRefused(t *testing.T) {
	file := func(dir, name string) string { return filepath.Join(dir, name) }
	change := func(name string, at int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			text, err := os.ReadFile(file(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			text[(at+len(text))%len(text)] ^= 1
			rewrite(t, dir, name, text)
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"first phase, proof":     change("phase1-0001", 3),
		"first phase, parameter": change("phase1-0002", -200),
		"second phase, start":    change("phase2-0001", 5),
		"second phase, end":      change("phase2-0002", -40),
		"a step left out": func(t *testing.T, dir string) {
			text, _ := os.ReadFile(file(dir, "phase2-0002"))
			rewrite(t, dir, "phase2-0001", text)
		},
		"another beacon": func(t *testing.T, dir string) {
			state := file(dir, ceremonyFile)
			text, _ := os.ReadFile(state)
			_ = os.WriteFile(state, []byte(strings.Replace(string(text), beacon, strings.Repeat("5b", 32), 1)), 0o644)
		},
		"a huge domain": func(t *testing.T, dir string) {
			state := file(dir, ceremonyFile)
			text, _ := os.ReadFile(state)
			_ = os.WriteFile(state, []byte(strings.Replace(string(text), `"domain": 32`, `"domain": 1073741824`, 1)), 0o644)
		},
		"another version of the circuit": func(t *testing.T, dir string) {
			state := file(dir, ceremonyFile)
			text, _ := os.ReadFile(state)
			_ = os.WriteFile(state, []byte(strings.Replace(string(text), known[0].ID, strings.Repeat("0", 64), 1)), 0o644)
		},
		"cut short": func(t *testing.T, dir string) {
			text, _ := os.ReadFile(file(dir, "phase2-0002"))
			rewrite(t, dir, "phase2-0002", text[:len(text)/2])
		},
		"too long": func(t *testing.T, dir string) {
			text, _ := os.ReadFile(file(dir, "phase1-0002"))
			rewrite(t, dir, "phase1-0002", append(text, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, store := held(t), Store{t.TempDir()}
			spoil(t, dir)
			if _, err := VerifyCeremony(known, dir, quiet); err == nil {
				t.Error("it verifies")
			}
			if _, _, err := Seal(known, dir, beacon, store, quiet); err == nil {
				t.Error("it can be sealed")
			}
			if m, err := store.Current(known[0].ID); m != nil || err != nil {
				t.Errorf("keys were made: %v, %v", m, err)
			}
		})
	}
}

// rewrite puts a file in a contribution's place, and its digest into the record, as somebody would who cheats.
func rewrite(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	before, err := depot.Describe(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	after, _ := depot.Describe(path)
	state := filepath.Join(dir, ceremonyFile)
	record, _ := os.ReadFile(state)
	if err := os.WriteFile(state, []byte(strings.Replace(string(record), before.SHA256, after.SHA256, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCeremonyAsksForWhatItNeeds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ceremony")
	if _, err := InitCeremony(known[0], dir); err != nil {
		t.Fatal(err)
	}
	if _, err := InitCeremony(known[0], dir); err == nil {
		t.Error("a directory that is not empty is taken")
	}
	if _, _, err := Seal(known, dir, beacon, Store{}, quiet); err == nil {
		t.Error("a phase without contributions can be sealed")
	}
	if _, err := Contribute(known, dir, "", quiet); err == nil {
		t.Error("nobody contributes")
	}
	if _, err := Contribute(known, dir, "anna", quiet); err != nil {
		t.Fatal(err)
	}
	for _, weak := range []string{"", "00", "no hexadecimal digits", strings.Repeat("0", 31)} {
		if _, _, err := Seal(known, dir, weak, Store{}, quiet); err == nil {
			t.Errorf("beacon %q is taken", weak)
		}
	}
}
