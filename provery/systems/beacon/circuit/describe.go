package circuit

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"provery/prover/circuits"
	"provery/prover/fault"
)

// Circuits describes every shape for the program's commands.
func Circuits() (out []*circuits.Circuit) {
	for _, shape := range Shapes() {
		known := identities[shape.Name()]
		out = append(out, &circuits.Circuit{
			Name: shape.Name(), ID: known.id, Constraints: known.constraints,
			About:  fmt.Sprintf("a sync committee of %d keys has signed the next one; state branch of %d nodes", shape.Preset.Committee, shape.Depth),
			New:    func() frontend.Circuit { return shape.Circuit() },
			Assign: shape.assign, Public: publicOf,
		})
	}
	return out
}

// assign reads update.json or sync.ssz, told apart by the first byte, and checks it.
func (s Shape) assign(input []byte) (frontend.Circuit, circuits.Values, error) {
	parse := ParseSync
	if text := bytes.TrimLeft(input, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		parse = ParseJSON
	}
	update, err := parse(input)
	if err != nil {
		return nil, nil, err
	}
	if update.Shape() != s {
		return nil, nil, fault.New(fault.InvalidInput, "the update fits circuit %s, not %s", update.Shape().Name(), s.Name())
	}
	step, public, err := Assign(update)
	if err != nil {
		return nil, nil, err
	}
	return step, public.values(), nil
}

func (p *Public) values() circuits.Values {
	commitment := p.Commitment.Bytes()
	return circuits.Values{
		"commitment": hexadecimal(commitment[:]), "next_root": hexadecimal(p.NextRoot[:]),
		"period":      "0x" + strconv.FormatUint(p.Period, 16),
		"header_root": hexadecimal(p.HeaderRoot[:]), "domain": hexadecimal(p.Domain[:]),
	}
}

// publicOf reads what values wrote; any other form of the same values is refused.
func publicOf(values circuits.Values) (frontend.Circuit, error) {
	p, r := &Public{}, &reader{}
	var commitment [32]byte
	r.bytes("commitment", values["commitment"], commitment[:])
	r.bytes("next_root", values["next_root"], p.NextRoot[:])
	r.bytes("header_root", values["header_root"], p.HeaderRoot[:])
	r.bytes("domain", values["domain"], p.Domain[:])
	if r.err != nil {
		return nil, r.err
	}
	period, err := strconv.ParseUint(strings.TrimPrefix(values["period"], "0x"), 16, 64)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "period is %q, expected 0x and hexadecimal digits", fault.Shorten(values["period"], 40))
	}
	p.Period = period
	if p.Commitment, err = fr.BigEndian.Element(&commitment); err != nil {
		return nil, fault.New(fault.InvalidInput, "commitment 0x%x is not below the field's modulus", commitment)
	}
	again := p.values()
	for name, value := range values {
		if own, known := again[name]; !known || own != value {
			return nil, fault.New(fault.InvalidInput, "public value %s is %q, expected one of the circuit's, as %q", fault.Shorten(name, 40), fault.Shorten(value, 80), again[name])
		}
	}
	return p.Assign(), nil
}

func hexadecimal(data []byte) string { return "0x" + hex.EncodeToString(data) }
