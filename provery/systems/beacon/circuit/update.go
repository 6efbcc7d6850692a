package circuit

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"provery/prover/fault"
)

// Root is a node of an SSZ tree.
type Root = [32]byte

// Key is a compressed public key.
type Key = [48]byte

// Update is what one proof is made from: a light-client update, reduced to what the statement speaks of.
type Update struct {
	Preset Preset
	// Keys are the committee's that signed, Participation has one entry for each.
	Keys          []Key
	Participation []bool
	Signature     [96]byte
	// NextKeysRoot is the SSZ root of the next committee's keys, AggregateNode that of its aggregate key.
	NextKeysRoot, AggregateNode Root
	// Branch leads from the next committee to the state root.
	Branch         []Root
	Slot, Proposer uint64
	ParentRoot     Root
	BodyNode       Root
	Domain         Root
	// StateRoot and HeaderRoot are compared with what the branches give where they are known, that is not zero.
	StateRoot, HeaderRoot Root
}

// Shape returns the circuit that fits the update.
func (u *Update) Shape() Shape { return Shape{u.Preset, len(u.Branch)} }

// document is the JSON form: data as the Beacon API's light_client/updates gives it, and what that does not say.
type document struct {
	Preset string   `json:"preset"`
	Keys   []string `json:"pubkeys"`
	Domain string   `json:"domain"`
	Update struct {
		Attested struct {
			Beacon struct {
				Slot     string `json:"slot"`
				Proposer string `json:"proposer_index"`
				Parent   string `json:"parent_root"`
				State    string `json:"state_root"`
				Body     string `json:"body_root"`
			} `json:"beacon"`
		} `json:"attested_header"`
		Next struct {
			Keys      []string `json:"pubkeys"`
			Aggregate string   `json:"aggregate_pubkey"`
		} `json:"next_sync_committee"`
		Branch    []string `json:"next_sync_committee_branch"`
		Aggregate struct {
			Bits      string `json:"sync_committee_bits"`
			Signature string `json:"sync_committee_signature"`
		} `json:"sync_aggregate"`
	} `json:"update"`
}

// ParseJSON reads {"preset", "pubkeys", "domain", "update"}: pubkeys are the signing committee's, update is the data
// of the Beacon API's light_client/updates.
func ParseJSON(text []byte) (*Update, error) {
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fault.New(fault.InvalidInput, "update is not the expected JSON: %s", fault.Shorten(err.Error(), 200))
	}
	preset, err := PresetOf(doc.Preset)
	if err != nil {
		return nil, err
	}
	r := &reader{}
	header, u := &doc.Update.Attested.Beacon, &Update{Preset: preset}
	u.Keys = r.keys("pubkeys", doc.Keys)
	r.bytes("domain", doc.Domain, u.Domain[:])
	u.Slot, u.Proposer = r.number("slot", header.Slot), r.number("proposer_index", header.Proposer)
	r.bytes("parent_root", header.Parent, u.ParentRoot[:])
	r.bytes("state_root", header.State, u.StateRoot[:])
	var body Root
	r.bytes("body_root", header.Body, body[:])
	u.BodyNode = pair(pair(body, Root{}), pair(Root{}, Root{}))
	next := r.keys("next_sync_committee.pubkeys", doc.Update.Next.Keys)
	var aggregate Key
	r.bytes("next_sync_committee.aggregate_pubkey", doc.Update.Next.Aggregate, aggregate[:])
	u.AggregateNode = keyRoot(aggregate)
	for i, node := range doc.Update.Branch {
		u.Branch = append(u.Branch, Root{})
		r.bytes("next_sync_committee_branch["+strconv.Itoa(i)+"]", node, u.Branch[i][:])
	}
	r.bytes("sync_committee_signature", doc.Update.Aggregate.Signature, u.Signature[:])
	bits := make([]byte, preset.Committee/8)
	r.bytes("sync_committee_bits", doc.Update.Aggregate.Bits, bits)
	u.Participation = unpack(bits)
	if r.err != nil {
		return nil, r.err
	}
	if len(next) != preset.Committee {
		return nil, fault.New(fault.InvalidInput, "next_sync_committee has %d keys, the preset %s has %d", len(next), preset.Name, preset.Committee)
	}
	u.NextKeysRoot = KeysRoot(next)
	return u, nil
}

// reader takes text values and keeps the first error.
type reader struct{ err error }

func (r *reader) bytes(name, text string, into []byte) {
	digits, prefixed := strings.CutPrefix(text, "0x")
	value, err := hex.DecodeString(digits)
	if r.err == nil && (!prefixed || err != nil || len(value) != len(into)) {
		r.err = fault.New(fault.InvalidInput, "%s is %q, expected 0x and %d hexadecimal digits", name, fault.Shorten(text, 40), 2*len(into))
		return
	}
	copy(into, value)
}

func (r *reader) number(name, text string) uint64 {
	value, err := strconv.ParseUint(text, 10, 64)
	if r.err == nil && err != nil {
		r.err = fault.New(fault.InvalidInput, "%s is %q, expected a number below 2^64 as text", name, fault.Shorten(text, 40))
	}
	return value
}

func (r *reader) keys(name string, texts []string) []Key {
	keys := make([]Key, len(texts))
	for i, text := range texts {
		r.bytes(name+"["+strconv.Itoa(i)+"]", text, keys[i][:])
	}
	return keys
}

// unpack returns the bits of an SSZ bit vector.
func unpack(bytes []byte) []bool {
	out := make([]bool, 8*len(bytes))
	for i := range out {
		out[i] = bytes[i/8]>>(i%8)&1 == 1
	}
	return out
}

// Offsets in sync.ssz; docs/beacon-circuit.md describes the file.
const (
	syncKeys      = 18
	syncNextKeys  = syncKeys + 512*48
	syncBits      = syncNextKeys + 512*48
	syncSignature = syncBits + 64
	syncIndex     = syncSignature + 96
	syncSlot      = syncIndex + 8
	syncProposer  = syncSlot + 8
	syncNodes     = syncProposer + 8 + 4
	// nodes beside the state's branch: the aggregate key, then parent, slot and proposer, body, domain
	syncOtherNodes = 5
)

// ParseSync reads sync.ssz, which exists for the mainnet preset only.
func ParseSync(file []byte) (*Update, error) {
	nodes := (len(file) - syncNodes) / 32
	depth := nodes - syncOtherNodes
	if len(file) != syncNodes+32*nodes+1 || (depth != 5 && depth != 6) {
		return nil, fault.New(fault.InvalidInput, "sync.ssz has %d bytes, expected %d with 10 nodes or %d with 11", len(file), syncNodes+321, syncNodes+353)
	}
	u := &Update{Preset: Presets[1], Slot: binary.LittleEndian.Uint64(file[syncSlot:]), Proposer: binary.LittleEndian.Uint64(file[syncProposer:])}
	// the header's state root is at 11, beside the domain at 19 of the signing root; its sibling path doubles it
	index := (uint64(19)<<depth | committeeField) << 1
	if got := binary.LittleEndian.Uint64(file[syncIndex:]); got != index {
		return nil, fault.New(fault.InvalidInput, "sync.ssz has generalised index %d, expected %d for %d nodes", got, index, nodes)
	}
	next := make([]Key, 512)
	u.Keys = make([]Key, 512)
	for i := range next {
		copy(u.Keys[i][:], file[syncKeys+48*i:])
		copy(next[i][:], file[syncNextKeys+48*i:])
	}
	u.NextKeysRoot = KeysRoot(next)
	u.Participation = unpack(file[syncBits:syncSignature])
	copy(u.Signature[:], file[syncSignature:])
	tree := make([]Root, nodes)
	for i := range tree {
		copy(tree[i][:], file[syncNodes+32*i:])
	}
	u.AggregateNode, u.Branch = tree[0], tree[1:1+depth]
	u.ParentRoot, u.BodyNode, u.Domain = tree[1+depth], tree[3+depth], tree[4+depth]
	if first := pair(numberRoot(u.Slot), numberRoot(u.Proposer)); first != tree[2+depth] {
		return nil, fault.New(fault.InvalidInput, "sync.ssz: node %d is not the hash of slot and proposer", 2+depth)
	}
	return u, nil
}
