package circom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/msm"
)

// signal is one named input with its values in row-major order.
type signal struct {
	name   string
	values []msm.Scalar
}

// parseInputs reads circuit inputs: a JSON object from signal names to numbers, decimal or 0x-hex strings, or
// nested lists of them. Objects stand for buses: their fields are named signal.field. Values must be whole
// and in [0, r). Every error, of kind invalid_input, names the signal and shows the value.
func parseInputs(data []byte) ([]signal, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, fault.New(fault.InvalidInput, "the inputs are not a JSON object from signal names to values: %v", problem(err, token))
	}
	var signals []signal
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "the inputs are not valid JSON: %v", err)
		}
		name := token.(string)
		if seen[name] {
			return nil, fault.New(fault.InvalidInput, "signal %q is given twice", fault.Shorten(name, 60))
		}
		seen[name] = true
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, fault.New(fault.InvalidInput, "the value of signal %q is not valid JSON: %v", fault.Shorten(name, 60), err)
		}
		if err := flatten(name, "", value, &signals); err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fault.New(fault.InvalidInput, "the inputs are not valid JSON: %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fault.New(fault.InvalidInput, "the inputs go on after their JSON object")
	}
	return signals, nil
}

func problem(err error, token any) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("found %v", token)
}

// flatten appends the values below value to the signal called name, or to signals of their own for objects.
// place is the index of value within its signal, for messages.
func flatten(name, place string, value any, signals *[]signal) error {
	switch v := value.(type) {
	case []any:
		if place == "" && len(v) == 0 {
			lastSignal(name, signals) // given, with no values
		}
		for i, item := range v {
			if object, ok := item.(map[string]any); ok {
				if err := flatten(fmt.Sprintf("%s[%d]", name, i), "", object, signals); err != nil {
					return err
				}
				continue
			}
			if err := flatten(name, fmt.Sprintf("%s[%d]", place, i), item, signals); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for field, item := range v {
			if err := flatten(name+"."+field, "", item, signals); err != nil {
				return err
			}
		}
		return nil
	}
	k, err := parseValue(value)
	if err != nil {
		return fault.New(fault.InvalidInput, "signal %s%s is %s, expected %v", fault.Shorten(name, 60), place, show(value), err)
	}
	target := lastSignal(name, signals)
	target.values = append(target.values, k)
	return nil
}

// lastSignal returns the entry for name, which is the last one or new.
func lastSignal(name string, signals *[]signal) *signal {
	if n := len(*signals); n == 0 || (*signals)[n-1].name != name {
		*signals = append(*signals, signal{name: name})
	}
	return &(*signals)[len(*signals)-1]
}

func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "unprintable"
	}
	return fault.Shorten(string(text), 90)
}

// maxDigits admits every number below r in decimal (77) or, with 0x, hexadecimal, with some leading zeros.
const maxDigits = 100

func parseValue(value any) (k msm.Scalar, err error) {
	var text string
	switch v := value.(type) {
	case json.Number:
		text = string(v)
	case string:
		text = v
	default:
		return k, fmt.Errorf("a number, a string holding one, or a list")
	}
	base, digits, alphabet := 10, text, "0123456789"
	if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") {
		base, digits, alphabet = 16, text[2:], "0123456789abcdefABCDEF"
	}
	if strings.HasPrefix(text, "-") {
		return k, fmt.Errorf("a number from 0 to r−1, not a negative one")
	}
	if digits == "" || strings.Trim(digits, alphabet) != "" {
		return k, fmt.Errorf("a whole number in decimal or 0x-hexadecimal")
	}
	if len(digits) > maxDigits {
		return k, fmt.Errorf("a number below the field's order r")
	}
	n, _ := new(big.Int).SetString(digits, base)
	if n.Cmp(fr.Modulus()) >= 0 {
		return k, fmt.Errorf("a number below the field's order r")
	}
	for i, w := range n.Bits() {
		k[i] = uint64(w)
	}
	return k, nil
}
