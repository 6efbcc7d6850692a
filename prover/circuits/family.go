package circuits

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"provery/prover/fault"
)

// Family makes circuits from documents: each document is a circuit of its own, under each scheme.
type Family struct {
	Name string
	// About says in one line what a proof shows.
	About string
	// Open describes the circuit of a document without reading it: reading it is for what needs it, and verifying does
	// not. Name and ID are the catalog's to set.
	Open func(scheme Scheme, document func() ([]byte, error)) *Circuit
}

// Document names a circuit of a family in a request.
type Document struct {
	Family string `json:"family"`
	// Graph is the document's path, GraphSHA256 its digest; without one the file is read to know it.
	Graph       string `json:"graph"`
	GraphSHA256 string `json:"graph_sha256"`
	// Scheme is plonk, which is the default, or groth16.
	Scheme string `json:"scheme"`
	// CircuitID is the compiled circuit's, as set-up told it: without it the circuit is compiled to know its keys.
	CircuitID string `json:"circuit_id"`
}

const (
	maxDocumentBytes = 64 << 20
	// maxOpen bounds the documents of circuits that are held, and maxOpenBytes their lengths together.
	maxOpen      = 8
	maxOpenBytes = 64 << 20
)

// Catalog finds circuits: those that the program has, and those that it makes from documents. It keeps what it has read
// of the latest documents, and is safe for concurrent use.
type Catalog struct {
	Circuits []*Circuit
	Families []*Family

	lock   sync.Mutex
	recent []*opened
}

// opened is a circuit of a document.
type opened struct {
	name, sha256 string
	circuit      *Circuit

	lock  sync.Mutex
	path  string
	bytes int
}

// Find returns the circuit of a request: of a name, or of a document, whose name need not be given.
func (c *Catalog) Find(name string, d Document) (*Circuit, error) {
	if d.Family == "" {
		return Find(c.Circuits, name)
	}
	at := slices.IndexFunc(c.Families, func(f *Family) bool { return f.Name == d.Family })
	if at < 0 {
		return nil, fault.New(fault.InvalidInput, "no family of circuits is called %q", fault.Shorten(d.Family, 80))
	}
	scheme := Plonk
	switch d.Scheme {
	case "", Plonk.String():
	case Groth16.String():
		scheme = Groth16
	default:
		return nil, fault.New(fault.InvalidInput, "scheme is %q, expected plonk or groth16", fault.Shorten(d.Scheme, 80))
	}
	if d.GraphSHA256 == "" {
		text, err := readDocument(d.Graph)
		if err != nil {
			return nil, err
		}
		d.GraphSHA256 = digestOf(text)
	}
	for _, id := range []string{d.GraphSHA256, d.CircuitID} {
		if raw, err := hex.DecodeString(id); err != nil || len(raw) != sha256.Size && id != "" || hex.EncodeToString(raw) != id {
			return nil, fault.New(fault.InvalidInput, "a digest of the document or circuit is %q, expected 64 lower-case hexadecimal digits", fault.Shorten(id, 80))
		}
	}
	made := fmt.Sprintf("%s-%.16s-%s", d.Family, d.GraphSHA256, scheme)
	if name != "" && name != made {
		return nil, fault.New(fault.InvalidInput, "the document's circuit is %s, not %q", made, fault.Shorten(name, 80))
	}
	out := *c.open(c.Families[at], scheme, made, &d)
	out.ID = d.CircuitID
	return &out, nil
}

// open returns the circuit of a document, from those that are held if it is there.
func (c *Catalog) open(f *Family, scheme Scheme, name string, d *Document) *Circuit {
	c.lock.Lock()
	defer c.lock.Unlock()
	at := slices.IndexFunc(c.recent, func(o *opened) bool { return o.name == name && o.sha256 == d.GraphSHA256 })
	var one *opened
	if at >= 0 {
		one = c.recent[at]
		c.recent = slices.Delete(c.recent, at, at+1)
	} else {
		one = &opened{name: name, sha256: d.GraphSHA256}
		one.circuit = f.Open(scheme, one.read)
		one.circuit.Name, one.circuit.Scheme = name, scheme
	}
	if d.Graph != "" {
		one.lock.Lock()
		one.path = d.Graph
		one.lock.Unlock()
	}
	c.recent = slices.Insert(c.recent, 0, one)
	total := 0
	for i, o := range c.recent {
		o.lock.Lock()
		total += o.bytes
		o.lock.Unlock()
		if i > 0 && (i == maxOpen || total > maxOpenBytes) {
			c.recent = c.recent[:i]
			break
		}
	}
	return one.circuit
}

// read returns the document, whose digest must be the one asked for.
func (o *opened) read() ([]byte, error) {
	o.lock.Lock()
	defer o.lock.Unlock()
	text, err := readDocument(o.path)
	if err != nil {
		return nil, err
	}
	if got := digestOf(text); got != o.sha256 {
		return nil, fault.New(fault.CorruptArtifact, "%s has SHA-256 %s, expected %s", o.path, got, o.sha256)
	}
	o.bytes = len(text)
	return text, nil
}

func digestOf(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}

func readDocument(path string) ([]byte, error) {
	if path == "" {
		return nil, fault.New(fault.InvalidInput, "no document to make the circuit from; name its file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxDocumentBytes+1))
	if err == nil && len(text) > maxDocumentBytes {
		return nil, fault.New(fault.InvalidInput, "%s has more than %d bytes", path, maxDocumentBytes)
	}
	return text, err
}
