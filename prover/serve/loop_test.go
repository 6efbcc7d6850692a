package serve_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provery/prover/circuits"
	"provery/prover/serve"
)

// session is a running loop seen from its caller.
type session struct {
	t     *testing.T
	in    *io.PipeWriter
	lines *bufio.Scanner
	done  chan error
	stop  chan struct{}
	dir   string
}

func start(t *testing.T) *session {
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	s := &session{t: t, in: inWrite, lines: bufio.NewScanner(outRead), done: make(chan error, 1), stop: make(chan struct{}), dir: t.TempDir()}
	s.lines.Buffer(nil, 1<<24)
	go func() {
		options := serve.DefaultOptions()
		options.Circuits = &circuits.Catalog{Circuits: []*circuits.Circuit{circuits.SelfTest(), circuits.SelfTestPlonk()},
			Families: []*circuits.Family{{Name: "tests", Open: openTest}}}
		err := serve.NewEngine(options).Loop(inRead, outWrite, "test", s.stop)
		outWrite.Close()
		s.done <- err
	}()
	if ready := s.next(); ready["ready"] != true || ready["program"] != "provery-prover" || ready["version"] != "test" {
		t.Fatalf("unexpected first line %v", ready)
	}
	return s
}

func (s *session) next() map[string]any {
	s.t.Helper()
	for s.lines.Scan() {
		var line map[string]any
		if err := json.Unmarshal(s.lines.Bytes(), &line); err != nil {
			s.t.Fatal(err)
		}
		if _, progress := line["progress"]; !progress {
			return line
		}
	}
	s.t.Fatal("no more lines")
	return nil
}

func (s *session) ask(request string) map[string]any {
	s.t.Helper()
	request = strings.ReplaceAll(request, "DIR", s.dir)
	request = strings.ReplaceAll(request, "DATA", "../testdata")
	if _, err := io.WriteString(s.in, request+"\n"); err != nil {
		s.t.Fatal(err)
	}
	return s.next()
}

// items returns a successful reply's items as "ok", "valid", "invalid" or the error's kind.
func (s *session) items(request string) string {
	s.t.Helper()
	reply := s.ask(request)
	if reply["ok"] != true {
		return fmt.Sprint(reply["error"].(map[string]any)["kind"])
	}
	var out []string
	for _, item := range reply["result"].(map[string]any)["items"].([]any) {
		item := item.(map[string]any)
		switch {
		case item["ok"] != true:
			out = append(out, fmt.Sprint(item["error"].(map[string]any)["kind"]))
		case item["valid"] == true:
			out = append(out, "valid")
		case item["valid"] == false:
			out = append(out, "invalid")
		default:
			out = append(out, "ok")
		}
	}
	return strings.Join(out, " ")
}

func (s *session) want(request, outcome string) {
	s.t.Helper()
	if got := s.items(request); got != outcome {
		s.t.Errorf("%s: got %q, want %q", request, got, outcome)
	}
}

const honest = `{"scale":"3","left":["1","0","1","0"],"right":["1","1","1","0"]}`

func TestWholeChainAndItsFailures(t *testing.T) {
	s := start(t)
	s.want(`{"id":"1","op":"witness","wasm":"DATA/tiny.wasm","items":[{"input":`+honest+`,"out":"DIR/0.wtns"},`+
		`{"input":{"scale":"0"},"out":"DIR/x"},{"input_path":"DATA/input.json","out":"DIR/1.wtns"},{"input_path":"DIR/none","out":"DIR/x"},`+
		`{"out":"DIR/x"},{"input":`+strings.Replace(honest, `"3"`, `"0"`, 1)+`,"out":"DIR/x"},{"input":`+honest+`,"out":"DIR/no/x"}]}`,
		"ok invalid_input ok io invalid_input invalid_witness io")
	witness, err := os.ReadFile(filepath.Join(s.dir, "1.wtns"))
	if err != nil {
		t.Fatal(err)
	}
	witness[len(witness)-32] ^= 1
	if err := os.WriteFile(filepath.Join(s.dir, "forged.wtns"), witness, 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(`{"id":"2","op":"prove","zkey":"DATA/tiny.zkey","items":[{"wtns":"DIR/0.wtns","proof":"DIR/0.p","public":"DIR/0.u"},`+
		`{"wtns":"DIR/forged.wtns","proof":"DIR/f.p","public":"DIR/f.u"},{"wtns":"DATA/tiny.r1cs","proof":"DIR/f.p","public":"DIR/f.u"},`+
		`{"wtns":"DIR/1.wtns","proof":"DIR/1.p","public":"DIR/1.u","r1cs":"DATA/tiny.r1cs"}]}`,
		"ok invalid_witness invalid_witness ok")
	if _, err := os.Stat(filepath.Join(s.dir, "f.p")); err == nil {
		t.Error("a refused proof was written")
	}
	s.want(`{"id":"3","op":"verify","vkey":"DATA/vkey.json","items":[{"proof":"DIR/0.p","public":"DIR/0.u"},{"proof":"DATA/proof.json","public":"DATA/public.json"}]}`,
		"valid valid")
	if err := os.WriteFile(filepath.Join(s.dir, "bad.u"), []byte(`["105","4"]`), 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(`{"id":"4","op":"verify","vkey":"DATA/vkey.json","items":[{"proof":"DIR/0.p","public":"DIR/0.u"},{"proof":"DIR/1.p","public":"DIR/bad.u"},`+
		`{"proof":"DATA/vkey.json","public":"DIR/0.u"},{"proof":"DIR/none","public":"DIR/0.u"}]}`,
		"valid invalid invalid io")
	for request, kind := range map[string]string{
		`{"id":"5","op":"prove","zkey":"DATA/tiny.wtns","items":[{}]}`:                     "invalid_key",
		`{"id":"6","op":"prove","zkey":"DATA/none","items":[{}]}`:                          "io",
		`{"id":"7","op":"prove","zkey":"DATA/tiny.zkey","zkey_sha256":"00","items":[{}]}`:  "corrupt_artifact",
		`{"id":"8","op":"prove","zkey":"DATA/tiny.zkey","items":[]}`:                       "invalid_input",
		`{"id":"9","op":"prove","items":[{}]}`:                                             "invalid_input",
		`{"id":"10","op":"dance"}`:                                                         "unsupported",
		`{"id":"11","op":"witness","wasm":"DATA/tiny.zkey","items":[{}]}`:                  "invalid_input",
		`{"id":"12","op":"load"}`:                                                          "invalid_input",
		`{"id":`:                                                                           "invalid_input",
		`{"id":"13","op":"verify","vkey":"DATA/proof.json","items":[{"proof":"DIR/0.p"}]}`: "invalid_key",
	} {
		s.want(request, kind)
	}
	reply := s.ask(`{"id":"14","op":"load","zkey":"DATA/tiny.zkey","wasm":"DATA/tiny.wasm","widen":true,"traceparent":"00-1-2-01"}`)
	if span, _ := reply["span"].(map[string]any); reply["ok"] != true || span["traceparent"] != "00-1-2-01" {
		t.Errorf("load: %v", reply)
	}
	if reply := s.ask(`{"id":"15","op":"inspect","zkey":"DATA/tiny.zkey"}`); reply["ok"] != true {
		t.Errorf("inspect: %v", reply)
	}
	if reply := s.ask(`{"id":"16","op":"cancel","target":"1"}`); reply["ok"] != true {
		t.Errorf("cancel: %v", reply)
	}
	if reply := s.ask(`{"id":"17","op":"ping"}`); reply["id"] != "17" {
		t.Errorf("ping: %v", reply)
	}
	s.in.Close()
	if err := <-s.done; err != nil {
		t.Errorf("the loop ended with %v", err)
	}
}

func TestStopsAfterTheRequestInWork(t *testing.T) {
	s := start(t)
	close(s.stop)
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

func TestSurvivesOverlongLine(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 64 MiB")
	}
	s := start(t)
	go func() {
		part := strings.Repeat("x", 1<<20)
		for range 65 {
			io.WriteString(s.in, part)
		}
		io.WriteString(s.in, "\n{\"id\":\"a\",\"op\":\"ping\"}\n")
	}()
	if reply := s.next(); reply["error"].(map[string]any)["kind"] != "resource" {
		t.Errorf("got %v", reply)
	}
	if reply := s.next(); reply["id"] != "a" {
		t.Errorf("got %v", reply)
	}
}
