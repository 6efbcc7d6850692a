package srs

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/kzg"
	"golang.org/x/crypto/blake2b"

	"provery/prover/depot"
	"provery/prover/fault"
	"provery/prover/mapfile"
)

func quiet(string, float64) {}

const tiny = "../testdata/tiny.ptau"

func store(t *testing.T) Store { return In(t.TempDir()) }

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func written(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.ptau")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused demands a fault of a kind that says what is wrong, and that nothing was installed.
func refused(t *testing.T, s Store, err error, kind fault.Kind, says string) {
	t.Helper()
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != kind || !strings.Contains(known.Message, says) {
		t.Errorf("got %v, expected %s saying %q", err, kind, says)
	}
	if found, _ := s.List(); len(found) > 0 {
		t.Errorf("an SRS was installed: %+v", found[0])
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, depot.Unfinished+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// section finds a section of a .ptau file: where its content begins and how long it is.
func section(t *testing.T, text []byte, id uint32) (at, length int) {
	t.Helper()
	for at = 12; at < len(text); at += length {
		length = int(binary.LittleEndian.Uint64(text[at+4:]))
		found := binary.LittleEndian.Uint32(text[at:])
		if at += 12; found == id {
			return at, length
		}
	}
	t.Fatalf("no section %d", id)
	return 0, 0
}

// unprepared leaves out the sections that `prepare phase2` adds.
func unprepared(t *testing.T, text []byte) []byte {
	t.Helper()
	at, _ := section(t, text, ptauLagrange)
	out := append([]byte(nil), text[:at-12]...)
	binary.LittleEndian.PutUint32(out[8:], 7)
	return out
}

func openSRS(t *testing.T, s Store, m *Manifest, power int) *SRS {
	t.Helper()
	opened, err := s.Open(m, power)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// commitsAlike demands that a polynomial has one commitment in both bases, and that it can be opened.
func commitsAlike(t *testing.T, o *SRS) {
	t.Helper()
	n := len(o.Lagrange)
	values := make([]fr.Element, n)
	for i := range values {
		values[i].SetUint64(uint64(i * i * 7))
	}
	var inLagrange bn254.G1Affine
	inLagrange, err := kzg.Commit(values, kzg.ProvingKey{G1: o.Lagrange})
	if err != nil {
		t.Fatal(err)
	}
	coefficients := append([]fr.Element(nil), values...)
	interpolate(coefficients)
	inPowers, err := kzg.Commit(coefficients, kzg.ProvingKey{G1: o.G1})
	if err != nil || !inPowers.Equal(&inLagrange) {
		t.Errorf("2^%d: the bases disagree: %v", n, err)
	}
	var point fr.Element
	point.SetUint64(99)
	opening, err := kzg.Open(coefficients, point, kzg.ProvingKey{G1: o.G1})
	if err != nil {
		t.Fatal(err)
	}
	_, _, g1, _ := bn254.Generators()
	vk := kzg.VerifyingKey{G1: g1, G2: o.G2}
	vk.Lines[0], vk.Lines[1] = bn254.PrecomputeLines(o.G2[0]), bn254.PrecomputeLines(o.G2[1])
	if err := kzg.Verify(&inPowers, &opening, point, vk); err != nil {
		t.Errorf("2^%d: %v", n, err)
	}
}

func TestImportOfAPreparedFile(t *testing.T) {
	s := store(t)
	m, made, err := s.Import(tiny, "", 0, 2, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !made || m.Power != 4 || len(m.Files) != 5 || m.Origin.Kind != Imported || !m.Origin.Insecure || m.Origin.Contributions != 1 {
		t.Errorf("imported %+v", m)
	}
	current, err := s.Current()
	if err != nil || current.SRSID != m.SRSID || s.Audit(current) != nil {
		t.Errorf("in use is %+v, %v", current, err)
	}
	for power := 1; power <= 4; power++ {
		commitsAlike(t, openSRS(t, s, m, power))
	}
	if _, err := s.Open(m, 5); err == nil || !strings.Contains(err.Error(), "larger powers-of-tau file") {
		t.Errorf("a domain too large: %v", err)
	}
}

func TestTheDigestSaysWhichCeremonyAFileIsFrom(t *testing.T) {
	s, text := store(t), read(t, tiny)
	long := blake2b.Sum512(text)
	for _, digest := range []string{strings.Repeat("0", 64), strings.Repeat("0", 128)} {
		_, _, err := s.Import(tiny, digest, 0, 1, quiet)
		refused(t, s, err, fault.CorruptArtifact, "another file")
	}
	// "0x" is what a script makes of a digest that it has not got: no digest was given, but one was asked for
	for _, digest := range []string{"abc", "0x"} {
		_, _, err := s.Import(tiny, digest, 0, 1, quiet)
		refused(t, s, err, fault.InvalidInput, "BLAKE2b")
	}
	unknown, _, err := s.Import(tiny, "", 0, 1, quiet)
	if err != nil || !unknown.Origin.Insecure {
		t.Fatal(unknown, err)
	}
	// the same file again, now vouched for
	known, made, err := s.Import(tiny, fmt.Sprintf("%x", long), 0, 1, quiet)
	if err != nil || made || known.SRSID != unknown.SRSID || known.Origin.Insecure || known.Origin.Kind != Ceremony {
		t.Errorf("imported again: %+v, %v, %v", known, made, err)
	}
	// and without: what is known is not forgotten
	again, _, err := s.Import(tiny, "", 0, 1, quiet)
	if err != nil || again.Origin.Insecure {
		t.Errorf("imported a third time: %+v, %v", again, err)
	}
}

// known replaces the powers in a file by those of a τ that is known.
func known(t *testing.T, text []byte) []byte {
	t.Helper()
	out := append([]byte(nil), text...)
	_, _, base, base2 := bn254.Generators()
	tau, power := big.NewInt(7), big.NewInt(1)
	at, length := section(t, text, ptauTauG1)
	for end := at + length; at < end; at += g1Bytes {
		var point bn254.G1Affine
		copy(out[at:], mapfile.Bytes([]bn254.G1Affine{*point.ScalarMultiplication(&base, power)}))
		power.Mul(power, tau)
	}
	var point bn254.G2Affine
	at, _ = section(t, text, ptauTauG2)
	copy(out[at+g2Bytes:], mapfile.Bytes([]bn254.G2Affine{*point.ScalarMultiplication(&base2, tau)}))
	return out
}

func TestAFileThatIsReplacedOnceItIsHashed(t *testing.T) {
	s, text := store(t), unprepared(t, read(t, tiny))
	other := known(t, text)
	if m, _, err := store(t).Import(written(t, other), "", 0, 1, quiet); err != nil || m.Power != 4 {
		t.Fatalf("the other file by itself: %v", err)
	}
	path, digest := written(t, text), sha256.Sum256(text)
	_, _, err := s.Import(path, fmt.Sprintf("%x", digest), 0, 1, func(step string, _ float64) {
		if step == "hash" {
			if err := os.WriteFile(path, other, 0o644); err != nil {
				t.Error(err)
			}
		}
	})
	refused(t, s, err, fault.CorruptArtifact, "changed")
}

func TestAnUnpreparedFileGetsItsLagrangeForm(t *testing.T) {
	s := store(t)
	m, _, err := s.Import(written(t, unprepared(t, read(t, tiny))), "", 3, 1, quiet)
	if err != nil || len(m.Files) != 1 {
		t.Fatal(m, err)
	}
	if _, err := s.Open(m, 3); err == nil {
		t.Error("opened without its Lagrange form")
	}
	if m, err = s.Lagrange(m, 3, quiet); err != nil || s.Audit(m) != nil {
		t.Fatal(err)
	}
	mine := openSRS(t, s, m, 3)
	commitsAlike(t, mine)
	// as the prepared file has it
	other := store(t)
	m, _, err = other.Import(tiny, "", 3, 1, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for i, point := range openSRS(t, other, m, 3).Lagrange {
		if !point.Equal(&mine.Lagrange[i]) {
			t.Fatalf("point %d differs from the prepared file's", i)
		}
	}
	if _, err := s.Lagrange(m, 4, quiet); err == nil {
		t.Error("a Lagrange form beyond the SRS")
	}
	// importing the prepared file brings the other forms
	m, made, err := s.Import(tiny, "", 3, 1, quiet)
	if err != nil || made || len(m.Files) != 4 || s.Audit(m) != nil {
		t.Errorf("imported %+v, %v, %v", m, made, err)
	}
	commitsAlike(t, openSRS(t, s, m, 2))
}

func TestDevelopmentSRS(t *testing.T) {
	s := store(t)
	m, err := s.Make(5, 2, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if m.Origin.Kind != Development || !m.Origin.Insecure || m.Origin.Warning == "" || s.Audit(m) != nil {
		t.Errorf("made %+v", m)
	}
	for _, power := range []int{1, 5} {
		commitsAlike(t, openSRS(t, s, m, power))
	}
	other, err := s.Make(2, 2, quiet)
	if err != nil || other.SRSID == m.SRSID {
		t.Error("two development SRSs are alike", err)
	}
	if err := s.Use(m.SRSID); err != nil {
		t.Error(err)
	}
	if found, err := s.List(); len(found) != 2 || err != nil {
		t.Errorf("listed %v, %v", found, err)
	}
	for _, power := range []int{0, 29, -1} {
		if _, err := s.Make(power, 1, quiet); err == nil {
			t.Errorf("made 2^%d", power)
		}
	}
}

func TestManyImportsAtOnceMakeOneSRS(t *testing.T) {
	s := store(t)
	var group sync.WaitGroup
	made := make([]bool, 4)
	for i := range made {
		group.Add(1)
		go func() {
			defer group.Done()
			var err error
			if _, made[i], err = s.Import(tiny, "", 0, 1, quiet); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	count := 0
	for _, one := range made {
		if one {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d imports made an SRS", count)
	}
}

// TestFilesThatAreNotPowersOfTau changes one thing at a time.
func TestFilesThatAreNotPowersOfTau(t *testing.T) {
	good := read(t, tiny)
	tau1, _ := section(t, good, ptauTauG1)
	tau2, _ := section(t, good, ptauTauG2)
	lagrange, _ := section(t, good, ptauLagrange)
	head, _ := section(t, good, ptauHeader)
	swap := func(text []byte, a, b, size int) {
		for i := range size {
			text[a+i], text[b+i] = text[b+i], text[a+i]
		}
	}
	for name, c := range map[string]struct {
		change func(text []byte) []byte
		says   string
	}{
		"empty":                  {func([]byte) []byte { return nil }, "0 bytes"},
		"another format":         {func(text []byte) []byte { return append([]byte("zkey"), text[4:]...) }, `"zkey"`},
		"another version":        {func(text []byte) []byte { text[4] = 2; return text }, "version is 2"},
		"too many sections":      {func(text []byte) []byte { text[9] = 1; return text }, "sections"},
		"a section too few":      {func(text []byte) []byte { text[8]--; return text }, "follow its last section"},
		"a section too many":     {func(text []byte) []byte { text[8]++; return text }, "truncated"},
		"truncated":              {func(text []byte) []byte { return text[:len(text)-1] }, "truncated"},
		"truncated early":        {func(text []byte) []byte { return text[:20] }, "truncated"},
		"longer":                 {func(text []byte) []byte { return append(text, 0) }, "follow its last section"},
		"section twice":          {func(text []byte) []byte { text[tau2-12] = ptauTauG1; return text }, "occurs twice"},
		"no powers":              {func(text []byte) []byte { text[tau1-12] = 60; return text }, "no section 2"},
		"a section of 2^64":      {func(text []byte) []byte { text[tau1-1] = 0xff; return text }, "truncated"},
		"another curve":          {func(text []byte) []byte { text[head+4] ^= 1; return text }, "another curve"},
		"another curve's width":  {func(text []byte) []byte { text[head] = 48; return text }, "another curve"},
		"a power too large":      {func(text []byte) []byte { text[head+36] = 200; return text }, "power is 200"},
		"another power":          {func(text []byte) []byte { text[head+36] = 5; return text }, "demands"},
		"off the curve":          {func(text []byte) []byte { text[tau1+64*7] ^= 1; return text }, "point 7"},
		"not reduced":            {func(text []byte) []byte { copy(text[tau1+64*7+24:], strings.Repeat("\xff", 8)); return text }, "point 7"},
		"infinity":               {func(text []byte) []byte { clear(text[tau1+64*7 : tau1+64*8]); return text }, "point 7"},
		"powers swapped":         {func(text []byte) []byte { swap(text, tau1+64*7, tau1+64*8, 64); return text }, "powers of one number"},
		"last power wrong":       {func(text []byte) []byte { copy(text[tau1+64*18:], text[tau1+64*3:tau1+64*4]); return text }, "powers of one number"},
		"no generator":           {func(text []byte) []byte { swap(text, tau1, tau1+64, 64); return text }, "generator"},
		"another τ in G2":        {func(text []byte) []byte { swap(text, tau2+128, tau2+256, 128); return text }, "powers of one number"},
		"no generator in G2":     {func(text []byte) []byte { swap(text, tau2, tau2+128, 128); return text }, "generator"},
		"off the curve in G2":    {func(text []byte) []byte { text[tau2+128] ^= 1; return text }, "subgroup"},
		"Lagrange swapped":       {func(text []byte) []byte { swap(text, lagrange+64*17, lagrange+64*18, 64); return text }, "Lagrange points for 2^4"},
		"Lagrange off the curve": {func(text []byte) []byte { text[lagrange+64*2] ^= 1; return text }, "point 2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			_, _, err := s.Import(written(t, c.change(append([]byte(nil), good...))), "", 0, 1, quiet)
			refused(t, s, err, fault.CorruptArtifact, c.says)
		})
	}
	s := store(t)
	_, _, err := s.Import("../testdata/nobody.ptau", "", 0, 1, quiet)
	refused(t, s, err, fault.CorruptArtifact, "nobody has contributed")
	_, _, err = s.Import("../testdata/tiny.zkey", "", 0, 1, quiet)
	refused(t, s, err, fault.CorruptArtifact, "zkey")
	_, _, err = s.Import(tiny, "", 5, 1, quiet)
	refused(t, s, err, fault.InvalidInput, "1 to 4")
	_, _, err = s.Import(t.TempDir(), "", 0, 1, quiet)
	refused(t, s, err, fault.IO, "regular")
}

// TestDamageAnywhere flips bits and cuts at random places. What is imported all the same, since the damage is in a part
// that is not needed, is the SRS that the whole file gives.
func TestDamageAnywhere(t *testing.T) {
	good, s := read(t, tiny), store(t)
	whole, _, err := s.Import(tiny, "", 0, 1, quiet)
	if err != nil {
		t.Fatal(err)
	}
	refused, random := 0, rand.New(rand.NewPCG(1, 2))
	for range 80 {
		bad := append([]byte(nil), good...)
		switch random.IntN(4) {
		case 0:
			bad = bad[:random.IntN(len(bad))]
		case 1: // in the table or the header
			bad[random.IntN(80)] ^= 1 << random.IntN(8)
		default:
			bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
		}
		m, made, err := s.Import(written(t, bad), "", 0, 1, quiet)
		var known *fault.Error
		switch {
		case err == nil && (made || m.SRSID != whole.SRSID):
			t.Fatal("another SRS came out")
		case err != nil && (!errors.As(err, &known) || known.Kind != fault.CorruptArtifact):
			t.Fatal(err)
		case err != nil:
			refused++
		}
	}
	if refused < 40 {
		t.Errorf("only %d of 80 were refused", refused)
	}
}

// TestPointsOutsideTheSubgroup needs a point of the twist that is not in G2: most are not.
func TestPointsOutsideTheSubgroup(t *testing.T) {
	text := read(t, tiny)
	at, _ := section(t, text, ptauTauG2)
	copy(text[at+128:], twistPoint(t))
	s := store(t)
	_, _, err := s.Import(written(t, text), "", 0, 1, quiet)
	refused(t, s, err, fault.CorruptArtifact, "subgroup")
}

func TestDamagedStores(t *testing.T) {
	s := store(t)
	m, err := s.Make(3, 1, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileG1, lagrangeFile(3)} {
		path := s.Path(m, name)
		good := read(t, path)
		for _, bad := range [][]byte{good[:len(good)-1], append(append([]byte(nil), good...), 0), nil} {
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Manifest(m.SRSID); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %d bytes: %v", name, len(bad), err)
			}
			if _, err := s.Open(m, 3); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %d bytes: opened, %v", name, len(bad), err)
			}
		}
		for _, at := range []int{0, 9, 13, 60, len(good) - 1} {
			bad := append([]byte(nil), good...)
			bad[at] ^= 1
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := s.Audit(m); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
		}
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := s.Path(m, fileManifest)
	text := string(read(t, path))
	for old, new := range map[string]string{`"insecure": true`: `"insecure": false`, `"power": 3`: `"power": 90`, m.SRSID: strings.Repeat("0", 64), "{": "["} {
		if err := os.WriteFile(path, []byte(strings.Replace(text, old, new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Manifest(m.SRSID); err == nil {
			t.Errorf("%s for %s passes", new, old)
		}
	}
	if _, err := s.Find("../x"); err == nil {
		t.Error("an id that is none")
	}
	if m, err := store(t).Current(); m != nil || err != nil {
		t.Error("an empty store has an SRS", err)
	}
	if _, err := store(t).Find(""); err == nil || !strings.Contains(err.Error(), "srs import") {
		t.Error(err)
	}
}
