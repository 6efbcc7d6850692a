package circuit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"regexp"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/fault"
	"provery/prover/gadget/schnorr"
)

// Table is a TableState's values.
type Table struct{ BLS, Schnorr, Amount, Threshold fr.Element }

// Entry is a validator's row of the stake table.
type Entry struct {
	Key   schnorr.Point
	Stake *big.Int
}

// Certificate is what one proof is made from: a light-client state, and who has signed it.
type Certificate struct {
	View, Height  uint64
	BlockCommRoot fr.Element
	Voting, Next  Table
	// Entries are the table's, without padding; Signatures has one for each, nil where a validator has not signed.
	Entries    []Entry
	Signatures []*schnorr.Signature
}

// Message is what validators sign.
func (c *Certificate) Message() []fr.Element {
	return []fr.Element{fr.NewElement(c.View), fr.NewElement(c.Height), c.BlockCommRoot, c.Next.BLS, c.Next.Schnorr, c.Next.Amount, c.Next.Threshold}
}

// document is the JSON form. Numbers are 0x and lower-case hexadecimal digits without leading zeros.
type document struct {
	State struct {
		View   string `json:"view"`
		Height string `json:"height"`
		Root   string `json:"block_comm_root"`
	} `json:"state"`
	Voting     tableDocument        `json:"voting"`
	Next       tableDocument        `json:"next"`
	Table      []entryDocument      `json:"stake_table"`
	Signatures []*signatureDocument `json:"signatures"`
}

type tableDocument struct {
	BLS       string `json:"bls"`
	Schnorr   string `json:"schnorr"`
	Amount    string `json:"amount"`
	Threshold string `json:"threshold"`
}

type entryDocument struct {
	X     string `json:"x"`
	Y     string `json:"y"`
	Stake string `json:"stake"`
}

type signatureDocument struct {
	S  string `json:"s"`
	RX string `json:"rx"`
	RY string `json:"ry"`
}

// Parse reads the input document: {"state": {"view", "height", "block_comm_root"}, "voting": {"bls", "schnorr",
// "amount", "threshold"}, "next": {the same}, "stake_table": [{"x", "y", "stake"}, …] without padding, "signatures":
// [{"s", "rx", "ry"} or null, one for each entry]}.
func Parse(text []byte) (*Certificate, error) {
	var doc document
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&doc)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = fmt.Errorf("something follows the document")
		}
	}
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "certificate is not the expected JSON: %s", fault.Shorten(err.Error(), 200))
	}
	if len(doc.Signatures) != len(doc.Table) {
		return nil, fault.New(fault.InvalidInput, "%d signatures for %d entries of the stake table, expected one or null for each", len(doc.Signatures), len(doc.Table))
	}
	r := &reader{}
	c := &Certificate{
		View: r.uint64("state.view", doc.State.View), Height: r.uint64("state.height", doc.State.Height),
		BlockCommRoot: r.element("state.block_comm_root", doc.State.Root),
		Voting:        r.table("voting", &doc.Voting), Next: r.table("next", &doc.Next),
	}
	for i, entry := range doc.Table {
		name := fmt.Sprintf("stake_table[%d]", i)
		c.Entries = append(c.Entries, Entry{
			schnorr.Point{X: r.element(name+".x", entry.X), Y: r.element(name+".y", entry.Y)},
			r.number(name+".stake", entry.Stake, stakeLimit),
		})
	}
	for i, given := range doc.Signatures {
		var signature *schnorr.Signature
		if given != nil {
			name := fmt.Sprintf("signatures[%d]", i)
			signature = &schnorr.Signature{
				S: r.number(name+".s", given.S, schnorr.Order),
				R: schnorr.Point{X: r.element(name+".rx", given.RX), Y: r.element(name+".ry", given.RY)},
			}
		}
		c.Signatures = append(c.Signatures, signature)
	}
	return c, r.err
}

// stakeLimit bounds a stake, so that the greatest circuit's sum stays below 2^excessBits.
var stakeLimit = new(big.Int).Lsh(big.NewInt(1), excessBits-8)

var digits = regexp.MustCompile(`^0x(0|[1-9a-f][0-9a-f]{0,63})$`)

// reader takes text values and keeps the first error.
type reader struct{ err error }

// number reads one below limit.
func (r *reader) number(name, text string, limit *big.Int) *big.Int {
	value := new(big.Int)
	if r.err != nil {
		return value
	}
	if !digits.MatchString(text) {
		r.err = fault.New(fault.InvalidInput, "%s is %q, expected 0x and lower-case hexadecimal digits without leading zeros", name, fault.Shorten(text, 80))
		return value
	}
	value.SetString(text[2:], 16)
	if value.Cmp(limit) >= 0 {
		r.err = fault.New(fault.InvalidInput, "%s is %s, expected a number below 0x%x", name, text, limit)
	}
	return value
}

func (r *reader) uint64(name, text string) uint64 {
	return r.number(name, text, new(big.Int).Lsh(big.NewInt(1), 64)).Uint64()
}

func (r *reader) element(name, text string) (x fr.Element) {
	x.SetBigInt(r.number(name, text, fr.Modulus()))
	return x
}

func (r *reader) table(name string, doc *tableDocument) Table {
	return Table{r.element(name+".bls", doc.BLS), r.element(name+".schnorr", doc.Schnorr), r.element(name+".amount", doc.Amount), r.element(name+".threshold", doc.Threshold)}
}
