package circuit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/gadget/rescue"
	"provery/prover/gadget/schnorr"
)

var update = flag.Bool("update", false, "write the input documents again")

const (
	vectors = "../vectors/"
	// network is the capacity of the recorded network's commitments.
	network = 200
)

// epochs are those of the recorded certificates.
var epochs = []int{1, 2, 3}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(vectors + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// untag decodes tagged base64: the tag, ~, and the base64 of the bytes and a checksum.
func untag(t testing.TB, tag, text string) []byte {
	t.Helper()
	digits, tagged := strings.CutPrefix(text, tag+"~")
	data, err := base64.RawURLEncoding.DecodeString(digits)
	if !tagged || err != nil || len(data) == 0 {
		t.Fatalf("%s is no %s: %v", text, tag, err)
	}
	body, sum := data[:len(data)-1], byte(0)
	for _, b := range append([]byte(tag), body...) {
		sum ^= b
		for range 8 {
			carry := sum >> 7
			sum = sum<<1 ^ 7*carry
		}
	}
	if sum ^= byte(len(body)); sum != data[len(body)] {
		t.Fatalf("%s has checksum %d, expected %d", text, data[len(body)], sum)
	}
	return body
}

// number reads little-endian bytes.
func number(data []byte) *big.Int {
	data = slices.Clone(data)
	slices.Reverse(data)
	return new(big.Int).SetBytes(data)
}

func hexadecimal(n *big.Int) string { return "0x" + n.Text(16) }

// words are 32 bytes each, little-endian, as the documents have them.
func words(data []byte) (out []string) {
	for word := range slices.Chunk(data, 32) {
		out = append(out, hexadecimal(number(word)))
	}
	return out
}

// blsColumn commits to keys in G2, each three elements of its compressed form.
func blsColumn(keys [][]byte, capacity int) string {
	elements := make([]fr.Element, 3*capacity)
	for i, key := range keys {
		var y bn254.G2Affine
		y.Y.A0.SetBigInt(number(key[64:96]))
		top := slices.Clone(key[96:])
		top[31] &= 0x3f // the two highest bits are flags
		y.Y.A1.SetBigInt(number(top))
		compressed := slices.Clone(key[:64])
		if y.Y.LexicographicallyLargest() {
			compressed[63] |= 0x80
		}
		for j, part := range [][]byte{compressed[:31], compressed[31:62], compressed[62:]} {
			elements[3*i+j].SetBigInt(number(part))
		}
	}
	sum := rescue.Native(elements...)
	return "0x" + sum.Text(16)
}

// peer is a validator as the sequencer gives it.
type peer struct {
	Entry struct {
		Key   string `json:"stake_key"`
		Stake string `json:"stake_amount"`
	} `json:"stake_table_entry"`
	Key string `json:"state_ver_key"`
}

// converted makes the input documents of the recorded certificates.
func converted(t testing.TB) (out []document) {
	t.Helper()
	var nodes struct {
		Config struct {
			Known []peer `json:"known_nodes_with_stake"`
		} `json:"config"`
	}
	readJSON(t, "v3_known_nodes_with_stake.json", &nodes)
	var third []peer
	readJSON(t, "v3_stake-table_epoch3.json", &third)
	tables := map[int][]peer{1: nodes.Config.Known, 2: nodes.Config.Known, 3: third}
	var pairs [][]json.RawMessage
	readJSON(t, "v3_state-certs_epochs1-3.json", &pairs)

	var voting tableDocument
	for i, pair := range pairs {
		var certificate struct {
			Epoch      int         `json:"epoch"`
			State      string      `json:"light_client_state"`
			Next       string      `json:"next_stake_table_state"`
			Signatures [][3]string `json:"signatures"`
		}
		if err := json.Unmarshal(pair[1], &certificate); err != nil {
			t.Fatal(err)
		}
		signed := map[string]string{}
		for _, signature := range certificate.Signatures {
			signed[signature[0]] = signature[2]
		}
		var doc document
		var blsKeys [][]byte
		for _, node := range tables[certificate.Epoch] {
			key := words(untag(t, "SCHNORR_VER_KEY", node.Key))
			doc.Table = append(doc.Table, entryDocument{key[0], key[1], node.Entry.Stake})
			var signature *signatureDocument
			if text, known := signed[node.Key]; known {
				parts := words(untag(t, "SCHNORR_SIG", text))
				signature = &signatureDocument{parts[0], parts[1], parts[2]}
			}
			doc.Signatures = append(doc.Signatures, signature)
			blsKeys = append(blsKeys, untag(t, "BLS_VER_KEY", node.Entry.Key))
		}
		if i == 0 {
			voting = genesis(t, &doc, blsColumn(blsKeys, network))
		}
		state := untag(t, "LIGHT_CLIENT_STATE", certificate.State)
		doc.State.View, doc.State.Height = hexadecimal(number(state[:8])), hexadecimal(number(state[8:16]))
		doc.State.Root = hexadecimal(number(state[16:]))
		next := words(untag(t, "STAKE_TABLE_STATE", certificate.Next))
		doc.Voting, doc.Next = voting, tableDocument{next[0], next[1], next[2], next[3]}
		voting = doc.Next
		out = append(out, doc)
	}
	return out
}

// genesis returns the state of the table that votes in the first epoch.
func genesis(t testing.TB, doc *document, bls string) tableDocument {
	t.Helper()
	entries, total, r := []Entry{}, new(big.Int), &reader{}
	for _, entry := range doc.Table {
		stake := r.number("stake", entry.Stake, stakeLimit)
		entries = append(entries, Entry{schnorr.Point{X: r.element("x", entry.X), Y: r.element("y", entry.Y)}, stake})
		total.Add(total, stake)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	keys, amounts := Commit(entries, network)
	threshold := total.Div(total, big.NewInt(3))
	return tableDocument{bls, "0x" + keys.Text(16), "0x" + amounts.Text(16), hexadecimal(threshold.Add(threshold, big.NewInt(1)))}
}

func TestDocumentsAreThoseOfTheCertificates(t *testing.T) {
	docs := converted(t)
	if len(docs) != len(epochs) {
		t.Fatalf("%d certificates", len(docs))
	}
	for i, doc := range docs {
		text, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, '\n')
		name := fmt.Sprintf("%scircuit/epoch-%d.json", vectors, epochs[i])
		if *update {
			if err := os.WriteFile(name, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := os.ReadFile(name); err != nil || !bytes.Equal(kept, text) {
			t.Errorf("%s is not the certificate's document (%v)", name, err)
		}
	}
	// the keys have not changed, and what epoch 1 passes on is the genesis table
	if docs[0].Voting != docs[0].Next || docs[1].Next.BLS != docs[0].Voting.BLS {
		t.Error("the recomputed genesis table is not the certificate's next one")
	}
}

// recorded returns the text of an epoch's input document.
func recorded(t testing.TB, epoch int) []byte {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("%scircuit/epoch-%d.json", vectors, epoch))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
