package circuit

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"provery/prover/fault"
)

func TestRecordedUpdate(t *testing.T) {
	u := recorded(t)
	step, public, err := Assign(u)
	if err != nil {
		t.Fatal(err)
	}
	if public.Period != 2 || u.Shape().Name() != "beacon-step-minimal-5" || len(step.Keys) != 32 {
		t.Errorf("period %d of %s with %d keys", public.Period, u.Shape().Name(), len(step.Keys))
	}
	if got := public.Bytes(); len(got) != 136 || binary.LittleEndian.Uint64(got[64:]) != 2 {
		t.Errorf("public values are %x", got)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	text, err := os.ReadFile("testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"no JSON":            {`{`, `{{`},
		"preset":             {`"minimal"`, `"maximal"`},
		"other preset":       {`"minimal"`, `"mainnet"`},
		"slot":               {`"slot": "80"`, `"slot": "-1"`},
		"digits":             {`"domain": "0x07`, `"domain": "0x0`},
		"no prefix":          {`"domain": "0x`, `"domain": "`},
		"no hexadecimal":     {`"domain": "0x07`, `"domain": "0xzz`},
		"bits":               {`"0xffffffff"`, `"0xffff"`},
		"number not as text": {`"slot": "80"`, `"slot": 80`},
	} {
		if !strings.Contains(string(text), change[0]) {
			t.Fatalf("%s: %s is not in the file", name, change[0])
		}
		_, err := ParseJSON([]byte(strings.Replace(string(text), change[0], change[1], 1)))
		wantKind(t, name, err, fault.InvalidInput)
	}
}

// synced lays an update out as sync.ssz does; its next committee has the given keys.
func synced(u *Update, next []Key) []byte {
	header, _ := hex.DecodeString("0000010010000000110000002ec200000006")
	file := append([]byte{}, header...)
	for _, key := range append(append([]Key{}, u.Keys...), next...) {
		file = append(file, key[:]...)
	}
	bits := make([]byte, 64)
	for i, signed := range u.Participation {
		if signed {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	file = append(append(file, bits...), u.Signature[:]...)
	index := map[int]uint64{5: 1262, 6: 2478}[len(u.Branch)]
	file = binary.LittleEndian.AppendUint64(file, index)
	file = binary.LittleEndian.AppendUint64(file, u.Slot)
	file = binary.LittleEndian.AppendUint64(file, u.Proposer)
	file = binary.LittleEndian.AppendUint32(file, 49340)
	nodes := append([]Root{u.AggregateNode}, u.Branch...)
	nodes = append(nodes, u.ParentRoot, pair(numberRoot(u.Slot), numberRoot(u.Proposer)), u.BodyNode, u.Domain)
	for _, node := range nodes {
		file = append(file, node[:]...)
	}
	return append(file, 0)
}

func TestParseSync(t *testing.T) {
	for _, depth := range Depths {
		u := invented(t, Shape{Presets[1], depth})
		next := append([]Key{}, u.Keys...)
		next[0], next[1] = next[1], next[0]
		u.NextKeysRoot = KeysRoot(next)
		sign(t, u)
		file := synced(u, next)
		parsed, err := ParseSync(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(parsed); err != nil {
			t.Error(err)
		}
		for name, at := range map[string]int{"index": syncIndex, "slot": syncSlot, "proposer": syncProposer} {
			wrong := append([]byte{}, file...)
			wrong[at] ^= 1
			_, err := ParseSync(wrong)
			wantKind(t, name, err, fault.InvalidInput)
		}
		for _, wrong := range [][]byte{nil, file[:len(file)-1], append(file, 0), file[:49358], file[:len(file)-64]} {
			_, err := ParseSync(wrong)
			wantKind(t, "length", err, fault.InvalidInput)
		}
	}
}
