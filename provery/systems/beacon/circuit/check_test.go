package circuit

import (
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"

	"provery/prover/fault"
)

func TestCheck(t *testing.T) {
	for _, shape := range Shapes() {
		third := shape.Preset.Committee / 3 // as many may be absent
		var absent []int
		for i := range third {
			absent = append(absent, i)
		}
		if err := Check(invented(t, shape, absent...)); err != nil {
			t.Errorf("%s: %v", shape.Name(), err)
		}
		wantKind(t, shape.Name(), Check(invented(t, shape, append(absent, third)...)), fault.InvalidWitness)
	}
}

func TestCheckRefuses(t *testing.T) {
	shape := Shape{Presets[0], 6}
	infinity := [48]byte{0xc0}
	notInGroup := outside(t)
	for name, c := range map[string]struct {
		kind  fault.Kind
		spoil func(*Update)
	}{
		"a key too few":          {fault.InvalidInput, func(u *Update) { u.Keys = u.Keys[1:] }},
		"a bit too few":          {fault.InvalidInput, func(u *Update) { u.Participation = u.Participation[1:] }},
		"branch of 7":            {fault.InvalidInput, func(u *Update) { u.Branch = append(u.Branch, Root{}) }},
		"branch of 4":            {fault.InvalidInput, func(u *Update) { u.Branch = u.Branch[2:] }},
		"domain type":            {fault.InvalidInput, func(u *Update) { u.Domain[0] = 6 }},
		"domain":                 {fault.InvalidWitness, func(u *Update) { u.Domain[31] ^= 1 }},
		"key off the curve":      {fault.InvalidInput, func(u *Update) { u.Keys[3] = [48]byte{0x80, 31: 1, 47: 1} }},
		"key not canonical":      {fault.InvalidInput, func(u *Update) { u.Keys[3] = [48]byte{0x9f, 0xff} }},
		"key is infinity":        {fault.InvalidInput, func(u *Update) { u.Keys[3] = infinity }},
		"keys swapped":           {fault.InvalidWitness, func(u *Update) { u.Participation[0] = false; u.Keys[0], u.Keys[1] = u.Keys[1], u.Keys[0] }},
		"signer left out":        {fault.InvalidWitness, func(u *Update) { u.Participation[7] = false }},
		"signature not in G2":    {fault.InvalidInput, func(u *Update) { u.Signature = notInGroup.Bytes() }},
		"signature is infinity":  {fault.InvalidWitness, func(u *Update) { u.Signature = [96]byte{0xc0} }},
		"signature negated":      {fault.InvalidWitness, func(u *Update) { u.Signature[0] ^= 0x20 }},
		"signature not encoded":  {fault.InvalidInput, func(u *Update) { u.Signature[0] ^= 0x80 }},
		"slot":                   {fault.InvalidWitness, func(u *Update) { u.Slot++ }},
		"proposer":               {fault.InvalidWitness, func(u *Update) { u.Proposer++ }},
		"next root":              {fault.InvalidWitness, func(u *Update) { u.NextKeysRoot[31] ^= 1 }},
		"aggregate":              {fault.InvalidWitness, func(u *Update) { u.AggregateNode[0] ^= 1 }},
		"lowest node":            {fault.InvalidWitness, func(u *Update) { u.Branch[0][0] ^= 1 }},
		"highest node":           {fault.InvalidWitness, func(u *Update) { u.Branch[5][0] ^= 1 }},
		"known state root":       {fault.InvalidWitness, func(u *Update) { u.StateRoot = Root{9} }},
		"known header root":      {fault.InvalidWitness, func(u *Update) { u.HeaderRoot = Root{9} }},
		"keys adding to nothing": {fault.InvalidWitness, cancel},
	} {
		u := invented(t, shape)
		c.spoil(u)
		wantKind(t, name, Check(u), c.kind)
	}
}

// cancel makes each second key the negation of the one before.
func cancel(u *Update) {
	for i := 0; i < len(u.Keys); i += 2 {
		var key bls12381.G1Affine
		_, _ = key.SetBytes(u.Keys[i][:])
		u.Keys[i+1] = key.Neg(&key).Bytes()
	}
}
