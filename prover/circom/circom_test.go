package circom_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"provery/prover/circom"
	"provery/prover/fault"
	"provery/prover/wtns"
)

func read(t testing.TB, name string) []byte {
	data, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compile(t *testing.T) *circom.Calculator {
	calculator, err := circom.Compile(context.Background(), read(t, "tiny.wasm"), circom.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(calculator.Close)
	return calculator
}

func TestMatchesCircomsOwnCalculator(t *testing.T) {
	calculator, want := compile(t), read(t, "tiny.wtns")
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			witness, err := calculator.Witness(context.Background(), read(t, "input.json"))
			if err != nil {
				t.Error(err)
			} else if !bytes.Equal(bytes.Join(wtns.Encode(witness), nil), want) {
				t.Error("the witness differs from circom's")
			}
		}()
	}
	group.Wait()
}

func TestRefusesBadInputs(t *testing.T) {
	calculator := compile(t)
	const bits = `"left":[1,0,1,0],"right":[1,1,1,0]`
	const r = "21888242871839275222246405745257275088548364400416034343698204186575808495617"
	for _, c := range []struct {
		inputs, mention string
		kind            fault.Kind
	}{
		{`{"scale":"` + r + `",` + bits + `}`, "scale", fault.InvalidInput},
		{`{"scale":-1,` + bits + `}`, "negative", fault.InvalidInput},
		{`{"scale":1.5,` + bits + `}`, "1.5", fault.InvalidInput},
		{`{"scale":1e3,` + bits + `}`, "1e3", fault.InvalidInput},
		{`{"scale":"","left":[]}`, "scale", fault.InvalidInput},
		{`{"scale":true,` + bits + `}`, "true", fault.InvalidInput},
		{`{"scale":null,` + bits + `}`, "null", fault.InvalidInput},
		{`{"scale":"0x","left":[]}`, "0x", fault.InvalidInput},
		{`{"scale":"` + strings.Repeat("9", 100000) + `",` + bits + `}`, "bytes)", fault.InvalidInput},
		{`{` + bits + `}`, "8 of 9", fault.InvalidInput},
		{`{"scale":1,"extra":2,` + bits + `}`, "extra", fault.InvalidInput},
		{`{"scale":1,"scale":2,` + bits + `}`, "twice", fault.InvalidInput},
		{`{"scale":1,"left":[1,0,1],"right":[1,1,1,0]}`, "3 values, expected 4", fault.InvalidInput},
		{`{"scale":1,"left":[[1,0],[1,0,1]],"right":[1,1,1,0]}`, "5 values, expected 4", fault.InvalidInput},
		{`{"scale":1,"left":[1,0,"x",0],"right":[1,1,1,0]}`, "left[2]", fault.InvalidInput},
		{`[1]`, "object", fault.InvalidInput},
		{`{"scale":1`, "JSON", fault.InvalidInput},
		{`{"scale":1,` + bits + `} x`, "go on", fault.InvalidInput},
		{``, "object", fault.InvalidInput},
		{`{"scale":1,"left":[2,0,1,0],"right":[1,1,1,0]}`, "assert failed", fault.InvalidWitness},
		{`{"scale":0,` + bits + `}`, "Tiny", fault.InvalidWitness},
	} {
		_, err := calculator.Witness(context.Background(), []byte(c.inputs))
		var known *fault.Error
		if !errors.As(err, &known) || known.Kind != c.kind || !strings.Contains(known.Message, c.mention) || len(known.Message) > 500 {
			t.Errorf("%s: got %v, want %s mentioning %q", fault.Shorten(c.inputs, 80), err, c.kind, c.mention)
		}
	}
	if _, err := calculator.Witness(context.Background(), read(t, "input.json")); err != nil {
		t.Errorf("after failures: %v", err)
	}
}

func TestRefusesForeignModules(t *testing.T) {
	empty := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	for _, wasm := range [][]byte{nil, []byte("hello"), empty, read(t, "tiny.wasm")[:2000]} {
		if _, err := circom.Compile(context.Background(), wasm, circom.Options{}); err == nil {
			t.Errorf("a module of %d bytes is accepted", len(wasm))
		}
	}
}
