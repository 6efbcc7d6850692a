// Command rapidsnark-prove makes Groth16 proofs with rapidsnark, as a program of its own.
//
// It is a separate module on purpose: it links the prebuilt rapidsnark library that go-rapidsnark carries, so
// a binary built from it falls under that library's licence (see README.md), and Provery itself never links
// it. It speaks the same command line and the same JSON lines as provery-prover, for the one operation prove.
//
//	rapidsnark-prove --zkey Z --wtns W --proof P.json --public U.json
//	rapidsnark-prove serve
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/iden3/go-rapidsnark/prover"
)

// failure is an error with its kind, as in provery-prover's protocol.
type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func (f *failure) Error() string { return f.Kind + ": " + f.Message }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve()
		return
	}
	zkey, wtns := flag.String("zkey", "", "proving key"), flag.String("wtns", "", "witness")
	proof, public := flag.String("proof", "", "proof to write"), flag.String("public", "", "public inputs to write")
	flag.Parse()
	if *zkey == "" || *wtns == "" || *proof == "" || *public == "" {
		exit(2, &failure{"invalid_input", "--zkey, --wtns, --proof and --public are required"})
	}
	key, err := os.ReadFile(*zkey)
	if err != nil {
		exit(1, &failure{"io", err.Error()})
	}
	result := prove(key, item{*wtns, *proof, *public})
	if result.Error != nil {
		code := 1
		if result.Error.Kind == "invalid_witness" {
			code = 3
		}
		exit(code, result.Error)
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
}

func exit(code int, f *failure) {
	line, _ := json.Marshal(map[string]*failure{"error": f})
	fmt.Fprintln(os.Stderr, string(line))
	os.Exit(code)
}

type item struct {
	Wtns   string `json:"wtns"`
	Proof  string `json:"proof"`
	Public string `json:"public"`
}

// written describes a file that was written.
type written struct {
	Path   string `json:"path"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type outcome struct {
	OK         bool            `json:"ok"`
	Proof      *written        `json:"proof,omitempty"`
	PublicFile *written        `json:"public_file,omitempty"`
	Public     json.RawMessage `json:"public,omitempty"`
	CPU        float64         `json:"cpu_s"`
	Wall       float64         `json:"wall_s"`
	Error      *failure        `json:"error,omitempty"`
}

// prove makes one proof. The library does not check its proof: a wrong witness gives a wrong proof.
func prove(key []byte, job item) (out outcome) {
	start, cpu := time.Now(), cpuSeconds()
	defer func() {
		if r := recover(); r != nil {
			out.Error = &failure{"internal", fmt.Sprint(r)}
		}
		out.OK = out.Error == nil
		out.CPU, out.Wall = cpuSeconds()-cpu, time.Since(start).Seconds()
	}()
	witness, err := os.ReadFile(job.Wtns)
	if err != nil {
		out.Error = &failure{"io", err.Error()}
		return
	}
	proof, public, err := prover.Groth16ProverRaw(key, witness)
	if err != nil {
		out.Error = &failure{"invalid_witness", err.Error()}
		return
	}
	if out.Proof, err = write(job.Proof, []byte(proof)); err == nil {
		out.PublicFile, err = write(job.Public, []byte(public))
	}
	if err != nil {
		out.Error = &failure{"io", err.Error()}
	}
	out.Public = json.RawMessage(public)
	return
}

// write puts data at path through a temporary file and a rename.
func write(path string, data []byte) (*written, error) {
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	return &written{path, len(data), hex.EncodeToString(sum[:])}, os.Rename(temp, path)
}

// cpuSeconds is the process's processor time, user and system.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

type request struct {
	ID     string `json:"id"`
	Op     string `json:"op"`
	Zkey   string `json:"zkey"`
	Digest string `json:"zkey_sha256"`
	Items  []item `json:"items"`
}

// serve answers prove and ping requests, one JSON object a line, keeping the last key's bytes in memory.
func serve() {
	replies := json.NewEncoder(os.Stdout)
	_ = replies.Encode(map[string]any{"ready": true, "program": "rapidsnark-prove", "version": "go-rapidsnark v0.0.13", "ops": []string{"ping", "prove"}})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	var key []byte
	var keyPath, keyDigest string
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			_ = replies.Encode(map[string]any{"id": r.ID, "ok": false, "error": failure{"invalid_input", err.Error()}})
			continue
		}
		if r.Op == "ping" {
			_ = replies.Encode(map[string]any{"id": r.ID, "ok": true, "result": map[string]any{}})
			continue
		}
		if r.Op != "prove" {
			_ = replies.Encode(map[string]any{"id": r.ID, "ok": false, "error": failure{"unsupported", "unknown op"}})
			continue
		}
		if key == nil || keyPath != r.Zkey {
			data, err := os.ReadFile(r.Zkey)
			if err != nil {
				_ = replies.Encode(map[string]any{"id": r.ID, "ok": false, "error": failure{"io", err.Error()}})
				continue
			}
			sum := sha256.Sum256(data)
			key, keyPath, keyDigest = data, r.Zkey, hex.EncodeToString(sum[:])
		}
		if r.Digest != "" && r.Digest != keyDigest {
			_ = replies.Encode(map[string]any{"id": r.ID, "ok": false, "error": failure{"corrupt_artifact", "the key has SHA-256 " + keyDigest}})
			key = nil
			continue
		}
		start, cpu := time.Now(), cpuSeconds()
		outcomes := []outcome{}
		for _, job := range r.Items {
			outcomes = append(outcomes, prove(key, job))
		}
		var usage syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
		_ = replies.Encode(map[string]any{"id": r.ID, "ok": true, "result": map[string]any{"items": outcomes,
			"cpu_s": cpuSeconds() - cpu, "wall_s": time.Since(start).Seconds(), "peak_rss_bytes": int64(usage.Maxrss) * 1024}})
	}
}
