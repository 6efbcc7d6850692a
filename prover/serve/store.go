package serve

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"sync"

	"provery/prover/circom"
	"provery/prover/fault"
	"provery/prover/groth16"
	"provery/prover/zkey"
)

// resident is one artefact kept in memory.
type resident[T any] struct {
	// name is the content's SHA-256 and, for lookups without one, path, size and time of modification.
	sha256, stamp string
	value         T
	bytes         func(T) int64
	close         func(T)
}

// shelf keeps artefacts in memory, least recently used last, up to limit bytes in total. Loading is serial;
// lookups of what is there are quick.
type shelf[T any] struct {
	limit  int64
	lock   sync.Mutex
	recent *list.List
}

func newShelf[T any](limit int64) *shelf[T] { return &shelf[T]{limit: limit, recent: list.New()} }

// get returns the artefact in the file at path, from memory if it is there. With a digest, that digest
// decides and the file is read only if its content is not in memory; otherwise path, size and time of
// modification do. load makes the artefact from the file's bytes.
func (s *shelf[T]) get(path, digest string, load func(data []byte) (*resident[T], error)) (*resident[T], error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	stamp := ""
	if digest == "" {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		stamp = stampOf(path, info)
	}
	for e := s.recent.Front(); e != nil; e = e.Next() {
		r := e.Value.(*resident[T])
		if digest != "" && r.sha256 == digest || stamp != "" && r.stamp == stamp {
			s.recent.MoveToFront(e)
			return r, nil
		}
	}
	data, info, err := readFile(path, s.limit)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	got := hex.EncodeToString(sum[:])
	if digest != "" && got != digest {
		return nil, fault.New(fault.CorruptArtifact, "%s has SHA-256 %s, expected %s", path, got, fault.Shorten(digest, 64))
	}
	r, err := load(data)
	if err != nil {
		return nil, err
	}
	r.sha256, r.stamp = got, stampOf(path, info)
	s.recent.PushFront(r)
	s.shrink()
	return r, nil
}

// shrink drops what was used longest ago until the rest fits; the newest stays.
func (s *shelf[T]) shrink() {
	var total int64
	for e := s.recent.Front(); e != nil; {
		next := e.Next()
		r := e.Value.(*resident[T])
		total += r.bytes(r.value)
		if total > s.limit && e != s.recent.Front() {
			s.recent.Remove(e)
			if r.close != nil {
				r.close(r.value)
			}
		}
		e = next
	}
}

// bytes is the memory all artefacts on the shelf take.
func (s *shelf[T]) bytes() (total int64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for e := s.recent.Front(); e != nil; e = e.Next() {
		r := e.Value.(*resident[T])
		total += r.bytes(r.value)
	}
	return
}

// bytesIfFree is bytes, or −1 while something is being loaded.
func (s *shelf[T]) bytesIfFree() int64 {
	if !s.lock.TryLock() {
		return -1
	}
	s.lock.Unlock()
	return s.bytes()
}

func stampOf(path string, info os.FileInfo) string {
	return fmt.Sprintf("%s\x00%d\x00%d", path, info.ModTime().UnixNano(), info.Size())
}

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fault.New(fault.IO, "%s is not a regular file", path)
	}
	if info.Size() > limit {
		return nil, nil, fault.New(fault.Resource, "%s has %d bytes, the limit is %d", path, info.Size(), limit)
	}
	data, err := os.ReadFile(path)
	return data, info, err
}

// provingKey returns the key at path, laid out for proving.
func (e *Engine) provingKey(path, digest string) (*resident[*keyEntry], error) {
	return e.keys.get(path, digest, func(data []byte) (*resident[*keyEntry], error) {
		parsed, err := zkey.Parse(data)
		if err != nil {
			return nil, err
		}
		summary := parsed.Summarize(data)
		extra := int64(0)
		if summary.Bytes <= e.options.EagerBytes {
			extra = e.options.TableBytes
		}
		pk, err := groth16.NewProvingKey(parsed, extra, e.options.Threads)
		if err != nil {
			return nil, err
		}
		if size := pk.Bytes(); size > e.options.MaxKeyBytes {
			return nil, fault.New(fault.Resource, "the key at %s takes %d bytes in memory, the limit is %d", path, size, e.options.MaxKeyBytes)
		}
		entry := &keyEntry{pk: pk, summary: summary, wide: extra > 0}
		return &resident[*keyEntry]{value: entry, bytes: func(k *keyEntry) int64 { return k.pk.Bytes() }}, nil
	})
}

// calculator returns the compiled witness generator at path.
func (e *Engine) calculator(ctx context.Context, path, digest string) (*circom.Calculator, error) {
	r, err := e.generators.get(path, digest, func(data []byte) (*resident[*circom.Calculator], error) {
		// compiled code outlives the request that asked for it
		calculator, err := circom.Compile(context.WithoutCancel(ctx), data, circom.Options{CacheDir: e.options.CacheDir})
		if err != nil {
			return nil, err
		}
		// a compiled generator takes about ten times its module, its instances' memories included
		return &resident[*circom.Calculator]{value: calculator,
			bytes: func(c *circom.Calculator) int64 { return 10 * c.WASMBytes }}, nil
	})
	if err != nil {
		return nil, err
	}
	return r.value, nil
}

// verifyingKey returns the verifying key in the JSON file at path.
func (e *Engine) verifyingKey(path, digest string) (*groth16.VerifyingKey, error) {
	r, err := e.verifiers.get(path, digest, func(data []byte) (*resident[*groth16.VerifyingKey], error) {
		vk, err := groth16.DecodeVerifyingKey(data)
		if err != nil {
			return nil, err
		}
		return &resident[*groth16.VerifyingKey]{value: vk,
			bytes: func(vk *groth16.VerifyingKey) int64 { return 1024 + 64*int64(len(vk.IC)) }}, nil
	})
	if err != nil {
		return nil, err
	}
	return r.value, nil
}
