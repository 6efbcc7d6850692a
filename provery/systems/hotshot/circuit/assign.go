package circuit

import (
	"math/big"

	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/schnorr"
)

// Assign checks c and returns its witness for a circuit of a capacity.
func Assign(c *Certificate, capacity int) (*State, error) {
	if err := Check(c, capacity); err != nil {
		return nil, err
	}
	return c.assign(capacity), nil
}

// assign returns a witness that is right where c is.
func (c *Certificate) assign(capacity int) *State {
	out := c.public()
	one := big.NewInt(1)
	placeholder := schnorr.Sign(one, one, c.Message())
	for i, entry := range pad(c.Entries, capacity) {
		row := Row{entry.Key.Assign(), entry.Stake, 0, placeholder.Assign()}
		if i < len(c.Signatures) && c.Signatures[i] != nil {
			row.Signed, row.Signature = 1, c.Signatures[i].Assign()
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// public returns a circuit with the public values only, as a verifier needs it.
func (c *Certificate) public() *State {
	return &State{View: c.View, Height: c.Height, BlockCommRoot: c.BlockCommRoot, Voting: c.Voting.assign(), Next: c.Next.assign()}
}

func (t Table) assign() TableState { return TableState{t.BLS, t.Schnorr, t.Amount, t.Threshold} }

var _ frontend.Circuit = (*State)(nil)
