package main

import (
	"os"
	"path/filepath"
	"testing"
)

const (
	sp1Proof   = "../../../vectors/beacon/sp1/proof_1600.bin"
	sp1Public  = "../../../vectors/beacon/mainnet/public_values_1600.bin"
	sp1Program = "001af9e056e4b0ce9c96815b973a1df32bca6e83da49ef9a170d2dca9cd2eeea"
)

func sp1Arguments(proof, public, program string) []string {
	return []string{"sp1-verify", "--proof", proof, "--public", public, "--program", program}
}

// TestExitCodes runs the commands as the shell would and looks at their exit codes.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join("../../testdata", name) }
	out := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(out("wrong.json"), []byte(`["105","4"]`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out("bad.json"), []byte(`{"scale":"-3"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout, _ = os.Open(os.DevNull)
	defer func() { os.Stdout = stdout }()
	for _, c := range []struct {
		want      int
		arguments []string
	}{
		{exitUsage, nil},
		{exitUsage, []string{"dance"}},
		{exitUsage, []string{"zkey"}},
		{exitUsage, []string{"prove", "--zkey", in("tiny.zkey")}},
		{exitUsage, []string{"prove", "--tune", "1"}},
		{exitUsage, []string{"zkey", "setup", "--r1cs", in("tiny.r1cs"), "--out", out("k"), "--seed-insecure", "xyz"}},
		{exitInput, []string{"witness", "--wasm", in("tiny.wasm"), "--input", out("bad.json"), "--out", out("w")}},
		{exitKey, []string{"zkey", "inspect", in("tiny.wtns")}},
		{exitInternal, []string{"zkey", "inspect", out("none")}},
		{exitRejected, sp1Arguments(sp1Public, sp1Public, sp1Program)},
		{exitRejected, sp1Arguments(sp1Proof, sp1Proof, sp1Program)},
		{exitInput, sp1Arguments(sp1Proof, sp1Public, "0x")},
		{exitInternal, sp1Arguments(sp1Proof, out("none"), sp1Program)},
	} {
		if got := run(c.arguments); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.arguments, got, c.want)
		}
	}
}

func TestCommandsInARow(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join("../../testdata", name) }
	out := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(out("wrong.json"), []byte(`["105","4"]`), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, err := os.OpenFile(out("stdout"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func(before *os.File) { os.Stdout = before }(os.Stdout)
	os.Stdout = stdout
	for _, c := range []struct {
		want      int
		arguments []string
	}{
		{exitOK, []string{"version"}},
		{exitOK, sp1Arguments(sp1Proof, sp1Public, sp1Program)},
		{exitOK, []string{"zkey", "setup", "--r1cs", in("tiny.r1cs"), "--out", out("k.zkey"), "--seed-insecure", "00"}},
		{exitOK, []string{"zkey", "setup", "--r1cs", in("tiny.r1cs"), "--out", out("again.zkey"), "--seed-insecure", "00"}},
		{exitOK, []string{"zkey", "setup", "--r1cs", in("tiny.r1cs"), "--out", out("random.zkey")}},
		{exitOK, []string{"zkey", "inspect", out("k.zkey")}},
		{exitOK, []string{"zkey", "export-vkey", out("k.zkey"), "--out", out("v.json")}},
		{exitOK, []string{"witness", "--wasm", in("tiny.wasm"), "--input", in("input.json"), "--out", out("w.wtns")}},
		{exitOK, []string{"prove", "--zkey", out("k.zkey"), "--wtns", out("w.wtns"), "--proof", out("p.json"), "--public", out("u.json"), "--r1cs", in("tiny.r1cs")}},
		{exitOK, []string{"verify", "--vkey", out("v.json"), "--public", out("u.json"), "--proof", out("p.json")}},
		{exitRejected, []string{"verify", "--vkey", out("v.json"), "--public", out("wrong.json"), "--proof", out("p.json")}},
		{exitRejected, []string{"verify", "--vkey", in("vkey.json"), "--public", out("u.json"), "--proof", out("p.json")}},
		{exitKey, []string{"verify", "--vkey", out("p.json"), "--public", out("u.json"), "--proof", out("p.json")}},
	} {
		if got := run(c.arguments); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.arguments, got, c.want)
		}
	}
	first, _ := os.ReadFile(out("k.zkey"))
	second, _ := os.ReadFile(out("again.zkey"))
	random, _ := os.ReadFile(out("random.zkey"))
	if len(first) == 0 || string(first) != string(second) || string(first) == string(random) {
		t.Error("a seed must make the key reproducible, and its absence random")
	}
}

func TestCircuitCommands(t *testing.T) {
	dir := t.TempDir()
	out := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"in.json": `{"x":"3"}`, "false.json": `{"x":"3","y":"4"}`, "bad.json": `[`, "other.json": `{"x":"4"}`} {
		if err := os.WriteFile(out(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	defer func(before *os.File) { os.Stdout = before }(os.Stdout)
	os.Stdout, _ = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	with := func(verb string, more ...string) []string {
		return append([]string{"circuit", verb, "--circuit", "self-test"}, more...)
	}
	keys, made := []string{"--keys", out("keys")}, []string{"--proof", out("p"), "--public", out("u")}
	join := func(parts ...[]string) (all []string) {
		for _, part := range parts {
			all = append(all, part...)
		}
		return all
	}
	for i, c := range []struct {
		want      int
		arguments []string
	}{
		{exitUsage, []string{"circuit"}},
		{exitUsage, []string{"circuit", "dance"}},
		{exitUsage, []string{"circuit", "setup", "--circuit", "self-test"}},
		{exitUsage, join(with("verify"), made)},
		{exitUsage, []string{"circuit", "ceremony"}},
		{exitOK, []string{"circuit", "list"}},
		{exitOK, with("compile", "--out", out("cs"))},
		{exitInput, []string{"circuit", "compile", "--circuit", "none"}},
		{exitOK, with("check-witness", "--input", out("in.json"))},
		{exitInput, with("check-witness", "--input", out("bad.json"))},
		{exitInternal, with("check-witness", "--input", out("none.json"))},
		{exitKey, join(with("prove", "--input", out("in.json")), keys, made)},
		{exitOK, join(with("setup"), keys)},
		{exitOK, join(with("setup"), keys)},
		{exitInput, join(with("prove", "--input", out("false.json")), keys, made)},
		{exitKey, join(with("prove", "--secure", "--input", out("in.json")), keys, made)},
		{exitOK, join(with("prove", "--input", out("in.json")), keys, made)},
		{exitOK, join(with("verify", "--input", out("in.json")), keys, made)},
		{exitRejected, join(with("verify", "--input", out("other.json")), keys, made)},
		{exitRejected, join(with("verify"), keys, []string{"--proof", out("in.json"), "--public", out("u")})},
		{exitOK, join(with("audit"), keys)},
		{exitOK, join(with("export-verifier", "--out", out("exported")), keys)},
		{exitOK, join(with("verify", "--vk", out("exported/verifying_key.bin")), made)},
		{exitRejected, join(with("verify", "--vk", out("in.json")), made)},
		{exitKey, join(with("use", "--setup", "00"), keys)},
		{exitUsage, []string{"srs"}},
		{exitUsage, []string{"srs", "dance"}},
		{exitUsage, []string{"srs", "import", "--keys", out("keys")}},
		{exitOK, join([]string{"srs", "list"}, keys)},
		{exitKey, join([]string{"srs", "audit"}, keys)},
		{exitInput, join([]string{"srs", "make"}, keys)},
		{exitKey, join([]string{"circuit", "setup", "--circuit", "self-test-plonk", "--secure"}, keys)},
		{exitOK, join([]string{"srs", "make", "--power", "7"}, keys)},
		{exitOK, join([]string{"circuit", "setup", "--circuit", "self-test-plonk"}, keys)},
		{exitOK, join([]string{"circuit", "prove", "--circuit", "self-test-plonk", "--input", out("in.json")}, keys, made)},
		{exitOK, join([]string{"circuit", "verify", "--circuit", "self-test-plonk", "--input", out("in.json")}, keys, made)},
		{exitRejected, join(with("verify"), keys, made)},
		{exitKey, join([]string{"srs", "import", "--file", "../../testdata/nobody.ptau"}, keys)},
		{exitInput, join([]string{"srs", "import", "--file", "../../testdata/tiny.ptau", "--power", "9"}, keys)},
		{exitOK, join([]string{"srs", "import", "--file", "../../testdata/tiny.ptau"}, keys)},
		{exitOK, join([]string{"srs", "audit"}, keys)},
		{exitKey, join([]string{"srs", "use", "--srs", "00"}, keys)},
		{exitOK, []string{"circuit", "ceremony", "init", "--circuit", "self-test", "--dir", out("ceremony")}},
		{exitOK, []string{"circuit", "ceremony", "contribute", "--dir", out("ceremony"), "--name", "anna"}},
		{exitOK, []string{"circuit", "ceremony", "verify", "--dir", out("ceremony")}},
		{exitInput, []string{"circuit", "ceremony", "seal", "--dir", out("ceremony"), "--beacon", "00", "--keys", out("keys")}},
	} {
		if got := run(c.arguments); got != c.want {
			t.Errorf("%d, %v: exit code %d, want %d", i, c.arguments, got, c.want)
		}
	}
}
