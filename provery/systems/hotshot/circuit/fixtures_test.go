package circuit

import (
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/gadget/rescue"
	"provery/prover/gadget/schnorr"
)

// secret returns numbers that look random.
func secret(i int) *big.Int {
	x := rescue.Native(fr.NewElement(uint64(i)))
	return x.BigInt(new(big.Int))
}

// invented returns a certificate of five validators with known secrets and stakes 10, 11, 12, 13 and 14; those in
// absent have not signed. The others' stake is the threshold: one more may not be absent.
func invented(capacity int, absent ...int) *Certificate {
	c := &Certificate{View: 1<<63 + 5, Height: 1 << 40, BlockCommRoot: fr.NewElement(9),
		Next: Table{fr.NewElement(21), fr.NewElement(22), fr.NewElement(23), fr.NewElement(24)}}
	for i := range 5 {
		c.Entries = append(c.Entries, Entry{schnorr.Base.Multiply(secret(i)), big.NewInt(int64(10 + i))})
		c.Signatures = append(c.Signatures, nil)
	}
	c.Voting.BLS.SetUint64(11)
	weight := new(big.Int)
	for i, entry := range c.Entries {
		if !slices.Contains(absent, i) {
			c.sign(i, secret(i))
			weight.Add(weight, entry.Stake)
		}
	}
	c.Voting.Threshold.SetBigInt(weight)
	c.commit(capacity)
	return c
}

// sign has entry i signed by a secret.
func (c *Certificate) sign(i int, by *big.Int) {
	c.Signatures[i] = schnorr.Sign(by, secret(1000+i), c.Message())
}

func (c *Certificate) commit(capacity int) {
	c.Voting.Schnorr, c.Voting.Amount = Commit(c.Entries, capacity)
}

func wantKind(t *testing.T, name string, err error, kind fault.Kind) {
	t.Helper()
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind != kind {
		t.Errorf("%s: %v, expected %s", name, err, kind)
	}
}
