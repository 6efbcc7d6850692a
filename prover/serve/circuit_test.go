package serve_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provery/prover/circuits"
)

// outcome returns a reply's error kind, or "ok".
func (s *session) outcome(request string) string {
	s.t.Helper()
	if reply := s.ask(request); reply["ok"] != true {
		return fmt.Sprint(reply["error"].(map[string]any)["kind"])
	}
	return "ok"
}

func TestCircuits(t *testing.T) {
	s := start(t)
	for name, text := range map[string]string{"in": `{"x":"3"}`, "other": `{"x":"4"}`, "false": `{"x":"3","y":"4"}`} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const files = `"circuit":"self-test","keys":"DIR/keys","proof":"DIR/p","public":"DIR/u"`
	const plonk = `"circuit":"self-test-plonk","keys":"DIR/keys","proof":"DIR/p","public":"DIR/u"`
	for i, c := range []struct{ op, fields, want string }{
		{"circuit_list", `"keys":"DIR/keys"`, "ok"},
		{"circuit_prove", files + `,"input":"DIR/in"`, "invalid_key"},
		{"circuit_setup", files, "ok"},
		{"circuit_setup", `"circuit":"none","keys":"DIR/keys"`, "invalid_input"},
		{"circuit_dance", files, "unsupported"},
		{"circuit_check", files + `,"input":"DIR/in"`, "ok"},
		{"circuit_prove", files + `,"input":"DIR/false"`, "invalid_witness"},
		{"circuit_prove", files + `,"input":"DIR/none"`, "io"},
		{"circuit_prove", files + `,"input":"DIR/in","secure":true`, "invalid_key"},
		{"circuit_prove", files + `,"input":"DIR/in"`, "ok"},
		{"circuit_verify", files + `,"input":"DIR/in"`, "ok"},
		{"circuit_verify", files + `,"input":"DIR/other"`, "invalid_proof"},
		{"circuit_audit", files, "ok"},
		{"circuit_use", files + `,"setup":"x"`, "invalid_key"},
		{"circuit_export", files + `,"out":"DIR/exported"`, "ok"},
		{"srs_list", `"keys":"DIR/keys"`, "ok"},
		{"srs_list", `"keys":""`, "invalid_input"},
		{"srs_import", `"keys":"DIR/keys","file":"DATA/tiny.zkey"`, "corrupt_artifact"},
		{"srs_import", `"keys":"DIR/keys","file":"DIR/none"`, "io"},
		{"srs_import", `"keys":"DIR/keys"`, "invalid_input"},
		{"srs_import", `"keys":"DIR/keys","file":"DATA/tiny.ptau","digest":"00"`, "invalid_input"},
		{"srs_use", `"keys":"DIR/keys","srs":"x"`, "invalid_key"},
		{"srs_audit", `"keys":"DIR/keys"`, "invalid_key"},
		{"srs_dance", `"keys":"DIR/keys"`, "unsupported"},
		{"circuit_setup", plonk + `,"secure":true`, "invalid_key"},
		{"circuit_prove", plonk + `,"input":"DIR/in"`, "invalid_key"},
		{"circuit_setup", plonk, "ok"},
		{"srs_audit", `"keys":"DIR/keys"`, "ok"},
		{"circuit_prove", plonk + `,"input":"DIR/false"`, "invalid_witness"},
		{"circuit_prove", plonk + `,"input":"DIR/in","secure":true`, "invalid_key"},
		{"circuit_prove", plonk + `,"input":"DIR/in"`, "ok"},
		{"circuit_verify", plonk + `,"input":"DIR/in"`, "ok"},
		{"circuit_verify", plonk + `,"input":"DIR/other"`, "invalid_proof"},
		{"circuit_verify", files + `,"input":"DIR/in"`, "invalid_proof"},
		{"circuit_audit", plonk, "ok"},
		{"circuit_export", plonk + `,"out":"DIR/exported"`, "ok"},
		{"srs_make", `"keys":"DIR/keys","power":40`, "invalid_input"},
		{"srs_make", `"keys":"DIR/keys","power":3,"secure":true`, "invalid_key"},
		{"srs_make", `"keys":"DIR/keys","power":3`, "ok"},
		{"srs_import", `"keys":"DIR/keys","file":"DATA/tiny.ptau"`, "ok"},
		{"circuit_setup", plonk, "ok"},
		{"ceremony_init", plonk + `,"dir":"DIR/other-ceremony"`, "invalid_input"},
		{"ceremony_init", files + `,"dir":"DIR/ceremony"`, "ok"},
		{"ceremony_contribute", `"dir":"DIR/ceremony","name":"anna"`, "ok"},
		{"ceremony_verify", `"dir":"DIR/ceremony"`, "ok"},
		{"ceremony_seal", `"dir":"DIR/ceremony"`, "invalid_input"},
		{"ceremony_dance", `"dir":"DIR/ceremony"`, "unsupported"},
		{"ceremony_verify", files, "invalid_input"},
	} {
		if got := s.outcome(fmt.Sprintf(`{"id":"%d","op":%q,%s}`, i, c.op, c.fields)); got != c.want {
			t.Errorf("%d, %s: %s, want %s", i, c.op, got, c.want)
		}
	}
}

// openTest is a family whose circuits are the self-test, whatever their document, which is read.
func openTest(scheme circuits.Scheme, document func() ([]byte, error)) *circuits.Circuit {
	c := circuits.SelfTestPlonk()
	if scheme == circuits.Groth16 {
		c = circuits.SelfTest()
	}
	c.ID, c.Resident = "", true
	c.Prepare = func() error {
		_, err := document()
		return err
	}
	return c
}

func TestFamilies(t *testing.T) {
	s := start(t)
	for name, text := range map[string]string{"in": `{"x":"3"}`, "graph": "one"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, scheme := range []string{"plonk", "groth16"} {
		fields := fmt.Sprintf(`"family":"tests","scheme":%q,"keys":"DIR/keys","proof":"DIR/p","public":"DIR/u"`, scheme)
		made := s.ask(fmt.Sprintf(`{"id":"1","op":"circuit_setup",%s,"graph":"DIR/graph"}`, fields))
		result, _ := made["result"].(map[string]any)
		manifest, _ := result["result"].(map[string]any)
		name, id, setup := fmt.Sprint(manifest["circuit"]), fmt.Sprint(manifest["circuit_id"]), fmt.Sprint(manifest["setup_id"])
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte("one")))
		if want := fmt.Sprintf("tests-%s-%s", digest[:16], scheme); name != want || len(id) != 64 {
			t.Fatalf("%v, expected %s", made, want)
		}
		// with the id that set-up told, the document is not needed again
		known := fmt.Sprintf(`%s,"circuit":%q,"circuit_id":%q,"setup":%q,"graph_sha256":%q`, fields, name, id, setup, digest)
		for i, c := range []struct{ op, fields, want string }{
			{"circuit_check", known + `,"input":"DIR/in"`, "ok"},
			{"circuit_prove", known + `,"input":"DIR/in"`, "ok"},
			{"circuit_prove", known + `,"input":"DIR/in"`, "ok"},
			{"circuit_verify", known, "ok"},
			{"circuit_verify", known + `,"input":"DIR/in"`, "ok"},
			{"circuit_export", known + `,"out":"DIR/out-` + scheme + `"`, "ok"},
			{"circuit_audit", known, "ok"},
			{"circuit_prove", fields + `,"graph":"DIR/graph","input":"DIR/in"`, "ok"},
			{"circuit_prove", fields + `,"graph":"DIR/none","input":"DIR/in"`, "io"},
			{"circuit_prove", fields + `,"input":"DIR/in"`, "invalid_input"},
			{"circuit_prove", known + `,"input":"DIR/in","secure":true`, "invalid_key"},
			{"circuit_prove", fields + `,"circuit":"tests","graph":"DIR/graph","input":"DIR/in"`, "invalid_input"},
			{"circuit_prove", fields + `,"graph":"DIR/graph","input":"DIR/in","circuit_id":"` + setup + `"`, "invalid_key"},
		} {
			if got := s.outcome(fmt.Sprintf(`{"id":"%d","op":%q,%s}`, i, c.op, c.fields)); got != c.want {
				t.Errorf("%s %d, %s: %s, want %s", scheme, i, c.op, got, c.want)
			}
		}
	}
}

func TestShortKeysAreRefused(t *testing.T) {
	s := start(t)
	if err := os.WriteFile(filepath.Join(s.dir, "in"), []byte(`{"x":"3"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"self-test", "self-test-plonk"} {
		fields := fmt.Sprintf(`"circuit":%q,"keys":"DIR/%s","proof":"DIR/p","public":"DIR/u","input":"DIR/in"`, name, name)
		for _, op := range []string{"circuit_setup", "circuit_prove"} {
			if got := s.outcome(fmt.Sprintf(`{"id":"1","op":%q,%s}`, op, fields)); got != "ok" {
				t.Fatalf("%s: %s", op, got)
			}
		}
		mapped, err := filepath.Glob(filepath.Join(s.dir, name, "*", "*", "pk"))
		if err != nil {
			t.Fatal(err)
		}
		powers, err := filepath.Glob(filepath.Join(s.dir, name, "srs", "*", "g1"))
		if err != nil {
			t.Fatal(err)
		}
		if mapped = append(mapped, powers...); len(mapped) != 1+i {
			t.Fatalf("%s: the mapped files are %v", name, mapped)
		}
		for _, path := range mapped {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, length := range []int{0, 8, 16<<10 - 1, 16 << 10, len(text) / 2, len(text) - 1} {
				if err := os.Truncate(path, int64(length)); err != nil {
					t.Fatal(err)
				}
				reply := s.ask(fmt.Sprintf(`{"id":"2","op":"circuit_prove",%s}`, fields))
				fault, _ := reply["error"].(map[string]any)
				message := fmt.Sprint(fault["message"])
				if fault["kind"] != "invalid_key" || !strings.Contains(message, fmt.Sprintf("has %d bytes, expected %d", length, len(text))) ||
					!strings.Contains(message, path) {
					t.Errorf("%s cut to %d bytes of %d: %v", path, length, len(text), reply)
				}
				if err := os.WriteFile(path, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := s.outcome(fmt.Sprintf(`{"id":"3","op":"circuit_prove",%s}`, fields)); got != "ok" {
			t.Errorf("the files put back: %s", got)
		}
	}
}
