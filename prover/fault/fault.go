// Package fault names the ways a request to the prover can fail.
//
// Every error that leaves the program carries one Kind, so that a caller can tell what to retry, what to
// repair and what to give up on without reading the message.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
)

// Kind is the class of a failure. The set is closed; docs/native-prover.md lists it.
type Kind string

const (
	// InvalidInput: the caller's circuit inputs or request are malformed. Retrying cannot help.
	InvalidInput Kind = "invalid_input"
	// InvalidWitness: the inputs are well formed but do not satisfy the circuit.
	InvalidWitness Kind = "invalid_witness"
	// InvalidKey: a proving or verifying key is malformed, foreign or of the wrong curve.
	InvalidKey Kind = "invalid_key"
	// InvalidProof: a proof is malformed, does not verify, or shows something else.
	InvalidProof Kind = "invalid_proof"
	// CorruptArtifact: a file's bytes do not match the digest the caller gave, or are damaged.
	CorruptArtifact Kind = "corrupt_artifact"
	// Unsupported: well formed, but outside what this program does.
	Unsupported Kind = "unsupported"
	// Resource: a configured limit on memory or size was reached.
	Resource Kind = "resource"
	// Cancelled: the caller asked to stop.
	Cancelled Kind = "cancelled"
	// IO: the file system refused.
	IO Kind = "io"
	// Internal: a defect of this program.
	Internal Kind = "internal"
)

// Error is a failure with its class. Message is one line, at most a few hundred characters.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return string(e.Kind) + ": " + e.Message }

// New builds an Error with a formatted message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Of returns err as an *Error: itself if it already is one, IO for file system errors, Internal otherwise.
// It returns nil for nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return New(IO, "%v", err)
	}
	return New(Internal, "%v", err)
}

// Shorten cuts text to at most limit bytes, marking the cut, so that hostile values stay out of logs.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:limit], len(text))
}
