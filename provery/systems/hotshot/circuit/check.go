package circuit

import (
	"math/big"
	"runtime"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/gadget/rescue"
	"provery/prover/gadget/schnorr"
)

// Commit returns the commitments to the keys and to the stakes of a table, padded to capacity by neutral keys without
// stake. They depend on the capacity.
func Commit(entries []Entry, capacity int) (keys, stakes fr.Element) {
	xy, amounts := make([]fr.Element, 0, 2*capacity), make([]fr.Element, capacity)
	for i, entry := range pad(entries, capacity) {
		xy = append(xy, entry.Key.X, entry.Key.Y)
		amounts[i].SetBigInt(entry.Stake)
	}
	return rescue.Native(xy...), rescue.Native(amounts...)
}

func pad(entries []Entry, capacity int) []Entry {
	out := append(make([]Entry, 0, capacity), entries...)
	for len(out) < capacity {
		out = append(out, Entry{schnorr.Neutral(), new(big.Int)})
	}
	return out
}

// Check tells whether the statement is true of c at a capacity, without a circuit: 2 ms of CPU time a signature, 0.3 ms
// a row.
func Check(c *Certificate, capacity int) error {
	if len(c.Entries) == 0 || len(c.Entries) > capacity {
		return fault.New(fault.InvalidInput, "the stake table has %d entries, the circuit takes 1 to %d", len(c.Entries), capacity)
	}
	if len(c.Signatures) != len(c.Entries) {
		return fault.New(fault.InvalidInput, "%d signatures for %d entries of the stake table, expected one or none for each", len(c.Signatures), len(c.Entries))
	}
	if err := c.checkWeight(); err != nil {
		return err
	}
	keys, stakes := Commit(c.Entries, capacity)
	if keys != c.Voting.Schnorr {
		return fault.New(fault.InvalidWitness, "the stake table's keys commit to 0x%s at capacity %d, voting.schnorr is 0x%s", keys.Text(16), capacity, c.Voting.Schnorr.Text(16))
	}
	if stakes != c.Voting.Amount {
		return fault.New(fault.InvalidWitness, "the stake table's stakes commit to 0x%s at capacity %d, voting.amount is 0x%s", stakes.Text(16), capacity, c.Voting.Amount.Text(16))
	}
	return c.checkSignatures()
}

func (c *Certificate) checkWeight() error {
	weight, threshold := new(big.Int), c.Voting.Threshold.BigInt(new(big.Int))
	for i, signature := range c.Signatures {
		if stake := c.Entries[i].Stake; stake.Sign() < 0 || stake.Cmp(stakeLimit) >= 0 {
			return fault.New(fault.InvalidInput, "stake %d is 0x%x, expected a number below 0x%x", i, stake, stakeLimit)
		}
		if signature != nil {
			weight.Add(weight, c.Entries[i].Stake)
		}
	}
	if weight.Cmp(threshold) < 0 {
		return fault.New(fault.InvalidWitness, "the signers' stake is 0x%x, expected voting.threshold 0x%x at least", weight, threshold)
	}
	return nil
}

// checkSignatures checks them side by side and returns the error of the first that is not valid.
func (c *Certificate) checkSignatures() error {
	message := c.Message()
	faults := make([]error, len(c.Signatures))
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, signature := range c.Signatures {
		if signature == nil {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			faults[i] = checkSignature(i, c.Entries[i].Key, signature, message)
			<-slots
		})
	}
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkSignature(i int, key schnorr.Point, s *schnorr.Signature, message []fr.Element) error {
	name := key.X.Text(16)
	switch {
	case !key.IsOnCurve():
		return fault.New(fault.InvalidWitness, "key %d, x 0x%s, is not on the curve, and is said to have signed", i, name)
	case key.IsSmall():
		return fault.New(fault.InvalidWitness, "key %d, x 0x%s, has an order that divides 8, and is said to have signed", i, name)
	case s.R == schnorr.Neutral():
		return fault.New(fault.InvalidWitness, "signature %d has the neutral point as R, which no proof can show; leave it out", i)
	case !s.Valid(key, message):
		return fault.New(fault.InvalidWitness, "signature %d is not that of key x 0x%s for this state and next stake table", i, name)
	}
	return nil
}
