package circuit

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/gadget/schnorr"
)

func TestCheck(t *testing.T) {
	for _, capacity := range []int{5, 6, 10} {
		for _, absent := range [][]int{nil, {0}, {1, 4}, {0, 1, 2, 3}} {
			if err := Check(invented(capacity, absent...), capacity); err != nil {
				t.Errorf("capacity %d, absent %v: %v", capacity, absent, err)
			}
		}
	}
	for _, epoch := range epochs {
		c, err := Parse(recorded(t, epoch))
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(c, network); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
		wantKind(t, "another capacity", Check(c, network/2), fault.InvalidWitness)
	}
}

func TestCheckSaysWhatIsFalse(t *testing.T) {
	const capacity = 6
	for name, c := range map[string]struct {
		kind  fault.Kind
		says  string
		spoil func(*Certificate)
	}{
		"no entries":         {fault.InvalidInput, "0 entries", func(c *Certificate) { c.Entries, c.Signatures = nil, nil }},
		"too many entries":   {fault.InvalidInput, "7 entries", func(c *Certificate) { c.Entries = append(c.Entries, c.Entries[:2]...) }},
		"signature too few":  {fault.InvalidInput, "4 signatures", func(c *Certificate) { c.Signatures = c.Signatures[1:] }},
		"stake above limit":  {fault.InvalidInput, "stake 0", func(c *Certificate) { c.Entries[0].Stake = stakeLimit }},
		"negative stake":     {fault.InvalidInput, "stake 0", func(c *Certificate) { c.Entries[0].Stake = big.NewInt(-1) }},
		"weight":             {fault.InvalidWitness, "stake is 0x2e, expected voting.threshold 0x2f", func(c *Certificate) { c.Voting.Threshold.SetUint64(47) }},
		"one signer fewer":   {fault.InvalidWitness, "voting.threshold", func(c *Certificate) { c.Signatures[0] = nil }},
		"keys' commitment":   {fault.InvalidWitness, "voting.schnorr", func(c *Certificate) { c.Voting.Schnorr.SetUint64(1) }},
		"stakes' commitment": {fault.InvalidWitness, "voting.amount", func(c *Certificate) { c.Voting.Amount.SetUint64(1) }},
		"order of entries":   {fault.InvalidWitness, "voting.schnorr", func(c *Certificate) { c.Entries[0], c.Entries[1] = c.Entries[1], c.Entries[0] }},
		"view":               {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.View++ }},
		"height":             {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.Height++ }},
		"root":               {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.BlockCommRoot.SetUint64(1) }},
		"next bls":           {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.Next.BLS.SetUint64(1) }},
		"next keys":          {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.Next.Schnorr.SetUint64(1) }},
		"next stakes":        {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.Next.Amount.SetUint64(1) }},
		"next threshold":     {fault.InvalidWitness, "signature 0", func(c *Certificate) { c.Next.Threshold.SetUint64(1) }},
		"another's signature": {fault.InvalidWitness, "signature 2", func(c *Certificate) {
			c.Signatures[2] = c.Signatures[1]
		}},
		"infinite R": {fault.InvalidWitness, "neutral point", func(c *Certificate) {
			c.Signatures[1] = &schnorr.Signature{S: big.NewInt(1), R: schnorr.Neutral()}
		}},
		"key off the curve": {fault.InvalidWitness, "key 1", func(c *Certificate) {
			c.Entries[1].Key.X = fr.NewElement(5)
			c.commit(capacity)
		}},
		"neutral key": {fault.InvalidWitness, "key 1", func(c *Certificate) {
			c.Entries[1].Key = schnorr.Neutral()
			c.commit(capacity)
		}},
	} {
		certificate := invented(capacity, 4) // of stake 14, of 60
		c.spoil(certificate)
		err := Check(certificate, capacity)
		wantKind(t, name, err, c.kind)
		if !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, expected %q in it", name, err, c.says)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	text := string(recorded(t, 1))
	for name, change := range map[string][2]string{
		"no JSON":             {`{`, `{{`},
		"more after it":       {"\n}\n", "\n}{}"},
		"unknown name":        {`"state": {`, `"extra": 1, "state": {`},
		"upper case":          {`"block_comm_root": "0x`, `"block_comm_root": "0xA`},
		"leading zero":        {`"view": "0x5"`, `"view": "0x05"`},
		"no prefix":           {`"view": "0x5"`, `"view": "5"`},
		"empty":               {`"view": "0x5"`, `"view": "0x"`},
		"missing":             {`"view": "0x5",`, ``},
		"negative":            {`"view": "0x5"`, `"view": "-0x5"`},
		"number":              {`"view": "0x5"`, `"view": 5`},
		"view of 65 bits":     {`"view": "0x5"`, `"view": "0x10000000000000000"`},
		"height of 65 bits":   {`"height": "0x5"`, `"height": "0x10000000000000000"`},
		"modulus":             {`"threshold": "0x2"`, `"threshold": "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001"`},
		"stake above limit":   {`"stake": "0x1"`, `"stake": "0x1000000000000000000000000000000"`},
		"signature too many":  {`"signatures": [`, `"signatures": [null, `},
		"s is the order":      {`"s": "0x`, `"s": "0x60c89ce5c263405370a08b6d0302b0bab3eedb83920ee0a677297dc392126f1", "rx": "0x1", "ry": "0x1"}, {"s": "0x`},
		"no table":            {`"stake_table"`, `"stake_tables"`},
		"table is not a list": {`"stake_table": [`, `"stake_table": 5, "x": [`},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Fatalf("%s: %s is not in the file", name, change[0])
		}
		_, err := Parse([]byte(changed))
		wantKind(t, name, err, fault.InvalidInput)
	}
}
