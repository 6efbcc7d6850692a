package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"provery/prover/binfile"
	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/pace"
	"provery/prover/registry"
	"provery/prover/serve"
	"provery/prover/statement"
)

// circuitCommands are those of `circuit`, on the circuits of the registry.
var circuitCommands = map[string]func([]string) error{
	"circuit list": circuitList, "circuit compile": circuitCompile, "circuit setup": circuitSetup,
	"circuit use": circuitUse, "circuit check-witness": circuitCheck, "circuit prove": circuitProve,
	"circuit verify": circuitVerify, "circuit export-verifier": circuitExport, "circuit audit": circuitAudit,
	"circuit ceremony init":       ceremonyStep("init", "circuit!", "dir!"),
	"circuit ceremony contribute": ceremonyStep("contribute", "dir!", "name!"),
	"circuit ceremony verify":     ceremonyStep("verify", "dir!"),
	"circuit ceremony seal":       ceremonyStep("seal", "dir!", "beacon!", "keys!"),
}

// srsCommands are those of `srs`, on structured reference strings.
var srsCommands = map[string]func([]string) error{
	"srs list": srsCommand("list", "keys!"), "srs import": srsCommand("import", "file!", "keys!", "digest", "power", "threads"),
	"srs make": srsCommand("make", "keys!", "power", "threads"), "srs use": srsCommand("use", "keys!", "srs!"),
	"srs audit": srsCommand("audit", "keys!", "srs"),
}

// take reads the flags of a command; names are those it has, of which the required ones end in "!".
func take(command string, arguments []string, names ...string) (*statement.Order, *circuits.Circuit, error) {
	order := &statement.Order{}
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	text := map[string]struct {
		into *string
		help string
	}{
		"circuit": {&order.Circuit, "name of the circuit"}, "keys": {&order.Keys, "directory of the keys"},
		"setup": {&order.Setup, "id of the set-up; the current one without"},
		"vk":    {&order.VerifyingKey, "verifying key, instead of one from --keys"},
		"input": {&order.Input, "input document"}, "proof": {&order.Proof, "proof"},
		"public": {&order.Public, "public values"}, "out": {&order.Out, "where to write"},
		"dir": {&order.Dir, "directory of the ceremony"}, "name": {&order.Name, "name of the contributor"},
		"beacon":     {&order.Beacon, "public random value that ends the phase, hexadecimal"},
		"srs":        {&order.SRS, "id of the structured reference string; the one in use without"},
		"file":       {&order.File, "powers-of-tau file of snarkjs"},
		"family":     {&order.Family, "family of circuits, of which --graph names one"},
		"graph":      {&order.Graph, "document that the circuit is made from"},
		"scheme":     {&order.Scheme, "plonk, which is the default, or groth16; for a family"},
		"circuit-id": {&order.CircuitID, "id of a family's compiled circuit; it is compiled to know it without"},
		"digest":     {&order.Digest, "the file's published digest, SHA-256 or BLAKE2b-512; insecure without"},
	}
	var required []string
	either := false
	for _, name := range names {
		switch name {
		case "threads":
			set.IntVar(&order.Threads, name, msm.Threads(), "threads used at once")
		case "power":
			set.IntVar(&order.Power, name, 0, "exponent of the largest domain, log2 of the gates")
		case "secure":
			set.BoolVar(&order.Secure, name, false, "refuse what is marked insecure")
		default:
			if name == "circuit!" {
				either = true
				for _, also := range []string{"family", "graph", "scheme", "circuit-id"} {
					set.StringVar(text[also].into, also, "", text[also].help)
				}
				name = "circuit"
			}
			if n := len(name) - 1; name[n] == '!' {
				name = name[:n]
				required = append(required, name)
			}
			set.StringVar(text[name].into, name, "", text[name].help)
		}
	}
	if _, err := parse(set, arguments, 0, required...); err != nil {
		return nil, nil, err
	}
	if either && order.Circuit == "" && order.Family == "" {
		return nil, nil, fmt.Errorf("%w: --circuit or --family is required", errUsage)
	}
	if order.Circuit == "" && order.Family == "" {
		return order, nil, nil
	}
	c, err := registry.Catalog().Find(order.Circuit, order.Document)
	return order, c, err
}

// measured prints a command's result with what it took.
func measured(start time.Time, result any, err error) error {
	if err != nil {
		return err
	}
	return printJSON(map[string]any{"result": result, "usage": serve.UsageSince(start)})
}

// progressLines writes progress to standard error, one JSON object a line, at most four times a second and phase.
func progressLines() pace.Tell {
	var phase string
	var told time.Time
	return func(name string, done float64) {
		if now := time.Now(); name != phase || now.Sub(told) >= 250*time.Millisecond {
			phase, told = name, now
			line, _ := json.Marshal(map[string]any{"progress": map[string]any{"phase": name, "fraction": float64(int(done*1000)) / 1000}})
			fmt.Fprintln(os.Stderr, string(line))
		}
	}
}

func circuitList(arguments []string) error {
	order, _, err := take("circuit list", arguments, "circuit", "keys")
	if err != nil {
		return err
	}
	return printJSON(map[string]any{"circuits": statement.List(registry.Circuits(), order)})
}

func circuitCompile(arguments []string) error {
	order, c, err := take("circuit compile", arguments, "circuit!", "out")
	if err != nil {
		return err
	}
	start := time.Now()
	compiled, err := circuits.Compile(c)
	if err != nil {
		return err
	}
	if order.Out != "" {
		if _, err := binfile.WriteAtomic(order.Out, compiled.Bytes); err != nil {
			return err
		}
	}
	return measured(start, map[string]any{"circuit": c.Name, "circuit_id": compiled.ID, "scheme": c.Scheme.String(), "constraints": compiled.Constraints(),
		"bytes": len(compiled.Bytes)}, nil)
}

func circuitSetup(arguments []string) error {
	order, c, err := take("circuit setup", arguments, "circuit!", "keys!", "srs", "secure", "threads")
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := order.SetUp(c, progressLines())
	return measured(start, result, err)
}

func circuitUse(arguments []string) error {
	order, c, err := take("circuit use", arguments, "circuit!", "keys!", "setup!")
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := order.Use(c)
	return measured(start, result, err)
}

func circuitAudit(arguments []string) error {
	order, c, err := take("circuit audit", arguments, "circuit!", "keys!", "setup")
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := order.Audit(c)
	return measured(start, result, err)
}

// ceremonyStep is a command of `circuit ceremony`.
func ceremonyStep(step string, names ...string) func([]string) error {
	return func(arguments []string) error {
		order, _, err := take("circuit ceremony "+step, arguments, names...)
		if err != nil {
			return err
		}
		start := time.Now()
		result, err := order.Ceremony(registry.Circuits(), step, progressLines())
		return measured(start, result, err)
	}
}

// srsCommand is a command of `srs`.
func srsCommand(verb string, names ...string) func([]string) error {
	return func(arguments []string) error {
		order, _, err := take("srs "+verb, arguments, names...)
		if err != nil {
			return err
		}
		start := time.Now()
		result, err := order.Strings(verb, progressLines())
		return measured(start, result, err)
	}
}

func circuitCheck(arguments []string) error {
	order, c, err := take("circuit check-witness", arguments, "circuit!", "input!")
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := order.Check(c)
	return measured(start, result, err)
}

func circuitProve(arguments []string) error {
	order, c, err := take("circuit prove", arguments, "circuit!", "keys!", "setup", "input!", "proof!", "public!", "secure", "threads")
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := order.Prove(c, progressLines())
	return measured(start, result, err)
}

func circuitVerify(arguments []string) error {
	order, c, err := take("circuit verify", arguments, "circuit!", "keys", "setup", "vk", "input", "proof!", "public!", "secure")
	if err != nil {
		return err
	}
	if (order.Keys == "") == (order.VerifyingKey == "") {
		return fmt.Errorf("%w: one of --keys and --vk is required", errUsage)
	}
	start := time.Now()
	result, err := order.Verify(c)
	var known *fault.Error
	if errors.As(err, &known) && known.Kind == fault.InvalidProof {
		printError(known)
		return errRejected
	}
	return measured(start, result, err)
}

func circuitExport(arguments []string) error {
	order, c, err := take("circuit export-verifier", arguments, "circuit!", "keys!", "setup", "out!")
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := order.ExportVerifier(c)
	return measured(start, result, err)
}
