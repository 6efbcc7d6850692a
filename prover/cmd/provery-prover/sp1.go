package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"

	"provery/prover/fault"
	"provery/prover/sp1"
)

// claim is one proof to check; all fields are hexadecimal, without 0x.
type claim struct {
	Proof   string `json:"proof"`
	Public  string `json:"public"`
	Program string `json:"program"`
}

type verdict struct {
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"`
}

// longestClaim bounds a line of input, in bytes.
const longestClaim = 1 << 20

// sp1Verify checks the proof in the named files, or, without names, one claim per line of standard input: each is
// answered by a line, and a rejected one is no failure of the command.
func sp1Verify(arguments []string) error {
	set := flag.NewFlagSet("sp1-verify", flag.ContinueOnError)
	proof, public := set.String("proof", "", "proof"), set.String("public", "", "public values")
	program := set.String("program", "", "hash of the program, hexadecimal")
	if len(arguments) == 0 {
		return sp1Lines()
	}
	if _, err := parse(set, arguments, 0, "proof", "public", "program"); err != nil {
		return err
	}
	var parts [2][]byte
	for i, name := range []string{*proof, *public} {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parts[i] = data
	}
	found, err := check(claim{hex.EncodeToString(parts[0]), hex.EncodeToString(parts[1]), *program})
	if err != nil {
		return err
	}
	if !found.Valid {
		printError(fault.New(fault.InvalidInput, "proof rejected: %s", found.Reason))
		return errRejected
	}
	return printJSON(found)
}

func sp1Lines() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestClaim)
	for lines.Scan() {
		var asked claim
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return fault.New(fault.InvalidInput, "a line is not a claim: %v", err)
		}
		found, err := check(asked)
		if err != nil {
			return err
		}
		if err := printJSON(found); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fault.New(fault.InvalidInput, "standard input: %v", err)
	}
	return nil
}

func check(asked claim) (verdict, error) {
	var parts [3][]byte
	for i, text := range []string{asked.Proof, asked.Public, asked.Program} {
		data, err := hex.DecodeString(text)
		if err != nil {
			return verdict{}, fault.New(fault.InvalidInput, "not hexadecimal: %v", err)
		}
		parts[i] = data
	}
	err := sp1.Verify(parts[0], parts[1], parts[2])
	var rejected *sp1.Rejected
	if errors.As(err, &rejected) {
		return verdict{Reason: rejected.Reason}, nil
	}
	return verdict{Valid: err == nil}, err
}
