// Command provery-prover makes and checks Groth16 proofs for circom circuits, and Groth16 and PLONK proofs for its own. Commands, exit codes and the
// protocol of serve are described in docs/native-prover.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"provery/prover/fault"
	"provery/prover/mapfile"
)

// version is set by the build with -ldflags "-X main.version=…".
var version = "dev"

const usageText = `usage:
  provery-prover zkey inspect FILE
  provery-prover zkey setup --r1cs R --out Z [--seed-insecure HEX]
  provery-prover zkey export-vkey FILE [--out V.json]
  provery-prover witness --wasm W --input I.json --out O.wtns
  provery-prover prove --zkey Z --wtns W --proof P.json --public U.json [--r1cs R]
  provery-prover verify --vkey V.json --public U.json --proof P.json
  provery-prover circuit list [--keys DIR] [--circuit C]
  provery-prover circuit compile --circuit C [--out CS]
  provery-prover circuit setup --circuit C --keys DIR [--srs ID] [--secure] [--threads N]
  provery-prover circuit check-witness --circuit C --input I
  provery-prover circuit prove --circuit C --keys DIR --input I --proof P --public U.json [--setup ID] [--secure]
  provery-prover circuit verify --circuit C (--keys DIR [--setup ID] [--secure] | --vk FILE) --proof P --public U.json [--input I]
  provery-prover circuit export-verifier --circuit C --keys DIR --out DIR [--setup ID]
  provery-prover circuit use --circuit C --keys DIR --setup ID
  provery-prover circuit audit --circuit C --keys DIR [--setup ID]
  provery-prover circuit ceremony init --circuit C --dir DIR
  provery-prover circuit ceremony contribute --dir DIR --name NAME
  provery-prover circuit ceremony verify --dir DIR
  provery-prover circuit ceremony seal --dir DIR --beacon HEX --keys DIR
  provery-prover srs list --keys DIR
  provery-prover srs import --keys DIR --file F.ptau [--digest HEX] [--power N]
  provery-prover srs make --keys DIR --power N
  provery-prover srs use --keys DIR --srs ID
  provery-prover srs audit --keys DIR [--srs ID]
  provery-prover sp1-verify [--proof P.bin --public V.bin --program HEX]
  provery-prover serve [--threads N] [--max-key-bytes N] [--table-bytes N] [--wasm-cache DIR]
  provery-prover version
`

// errUsage marks a wrong command line.
var errUsage = errors.New("usage")

// errRejected marks a proof that is not valid.
var errRejected = errors.New("proof rejected")

// Exit codes.
const (
	exitOK       = 0
	exitRejected = 1
	exitUsage    = 2
	exitInput    = 3
	exitKey      = 4
	exitInternal = 5
)

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			code = report(fault.New(fault.Internal, "%s", fault.Shorten(fmt.Sprintf("panic: %v", r), 300)))
		}
	}()
	err := mapfile.Guard(func() error { return dispatch(arguments) })
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errRejected):
		return exitRejected
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usageText)
		printError(fault.New(fault.InvalidInput, "%v", err))
		return exitUsage
	}
	return report(fault.Of(err))
}

func dispatch(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("%w: no command", errUsage)
	}
	commands := map[string]func([]string) error{"witness": witness, "prove": prove, "verify": verify, "serve": serveLoop, "sp1-verify": sp1Verify,
		"version": func([]string) error {
			return printJSON(map[string]string{"program": "provery-prover", "version": version})
		}}
	name, rest := arguments[0], arguments[1:]
	if name == "zkey" && len(rest) > 0 {
		name, rest = "zkey "+rest[0], rest[1:]
		commands = map[string]func([]string) error{"zkey inspect": inspect, "zkey setup": setup, "zkey export-vkey": exportVkey}
	}
	if name == "circuit" && len(rest) > 0 {
		name, rest, commands = "circuit "+rest[0], rest[1:], circuitCommands
		if name == "circuit ceremony" && len(rest) > 0 {
			name, rest = name+" "+rest[0], rest[1:]
		}
	}
	if name == "srs" && len(rest) > 0 {
		name, rest, commands = "srs "+rest[0], rest[1:], srsCommands
	}
	command, known := commands[name]
	if !known {
		return fmt.Errorf("%w: unknown command %q", errUsage, fault.Shorten(name, 40))
	}
	return command(rest)
}

// parse reads flags, of which the named ones are required, and at most positional further arguments.
func parse(set *flag.FlagSet, arguments []string, positional int, required ...string) ([]string, error) {
	set.SetOutput(os.Stderr)
	var others []string
	for {
		if err := set.Parse(arguments); err != nil {
			return nil, fmt.Errorf("%w: %v", errUsage, err)
		}
		if set.NArg() == 0 {
			break
		}
		others, arguments = append(others, set.Arg(0)), set.Args()[1:]
	}
	if len(others) != positional {
		return nil, fmt.Errorf("%w: %d arguments besides flags, expected %d", errUsage, len(others), positional)
	}
	for _, name := range required {
		if set.Lookup(name).Value.String() == "" {
			return nil, fmt.Errorf("%w: --%s is required", errUsage, name)
		}
	}
	return others, nil
}

func report(err *fault.Error) int {
	printError(err)
	switch err.Kind {
	case fault.InvalidInput, fault.InvalidWitness:
		return exitInput
	case fault.InvalidKey, fault.CorruptArtifact, fault.Unsupported:
		return exitKey
	case fault.InvalidProof:
		return exitRejected
	}
	return exitInternal
}

// printError writes the last line of standard error.
func printError(err *fault.Error) {
	line, _ := json.Marshal(map[string]*fault.Error{"error": err})
	fmt.Fprintln(os.Stderr, string(line))
}

func printJSON(value any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
