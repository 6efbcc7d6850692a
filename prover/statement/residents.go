package statement

import (
	"errors"
	"slices"
	"sync"

	"provery/prover/fault"
	"provery/prover/keys"
)

// Residents keep what proofs of short circuits take: decoded, mapped, and widened for the next proofs. Those used
// longest ago go first where all together take more than the limit. Proofs with them are made one at a time.
type Residents struct {
	limit int64
	lock  sync.Mutex
	// recent are the latest first.
	recent []*held
}

type held struct {
	store, setup string
	vk           verifyingKey
	instrument   instrument
}

// NewResidents returns an empty one that takes about so many bytes at most.
func NewResidents(limit int64) *Residents { return &Residents{limit: limit} }

// Bytes is about how much memory is held, pages of mapped files included.
func (r *Residents) Bytes() (total int64) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, h := range r.recent {
		total += h.instrument.bytes()
	}
	return total
}

// use calls work with the instrument of a set-up, from memory if it is there. After a failure other than the witness's
// it is dropped: its files may be damaged, and the next proof reads them again.
func (r *Residents) use(store keys.Store, manifest *keys.Manifest, threads int, read func() (verifyingKey, error), work func(verifyingKey, instrument) error) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	at := slices.IndexFunc(r.recent, func(h *held) bool { return h.store == store.Dir && h.setup == manifest.SetupID })
	var one *held
	if at >= 0 {
		one = r.recent[at]
		r.recent = slices.Delete(r.recent, at, at+1)
	} else {
		vk, err := read()
		if err != nil {
			return err
		}
		made, err := vk.open(store, manifest, true, threads)
		if err != nil {
			return err
		}
		one = &held{store.Dir, manifest.SetupID, vk, made}
	}
	kept := false
	defer func() { // also where work panics
		if !kept {
			one.instrument.close()
		}
	}()
	err := work(one.vk, one.instrument)
	var known *fault.Error
	if err == nil || errors.As(err, &known) && known.Kind == fault.InvalidWitness {
		kept = r.keep(one)
	}
	return err
}

// keep puts an instrument in front, and closes those that are too much.
func (r *Residents) keep(one *held) bool {
	if one.instrument.bytes() > r.limit {
		return false
	}
	r.recent = slices.Insert(r.recent, 0, one)
	var total int64
	for i, h := range r.recent {
		if total += h.instrument.bytes(); total > r.limit {
			for _, old := range r.recent[i:] {
				old.instrument.close()
			}
			r.recent = r.recent[:i]
			break
		}
	}
	return true
}

// once calls work with an instrument of its own.
func once(store keys.Store, manifest *keys.Manifest, threads int, read func() (verifyingKey, error), work func(verifyingKey, instrument) error) error {
	vk, err := read()
	if err != nil {
		return err
	}
	made, err := vk.open(store, manifest, false, threads)
	if err != nil {
		return err
	}
	defer made.close()
	return work(vk, made)
}
