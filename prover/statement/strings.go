package statement

import (
	"provery/prover/fault"
	"provery/prover/pace"
	"provery/prover/srs"
)

// ListedSRS are the structured reference strings of a key store.
type ListedSRS struct {
	// Current is the id of the one in use; empty without one.
	Current string          `json:"current"`
	Strings []*srs.Manifest `json:"strings"`
	// Problem says why those that are there cannot be used.
	Problem string `json:"problem,omitempty"`
}

// Strings does an order about structured reference strings: list, import (of File, whose digest is Digest, for domains
// up to 2^Power), make (a development SRS of 2^Power), use or audit (SRS).
func (o *Order) Strings(verb string, progress pace.Tell) (any, error) {
	if o.Keys == "" {
		return nil, fault.New(fault.InvalidInput, "no directory for the keys")
	}
	store := srs.In(o.Keys)
	switch verb {
	case "list":
		return listStrings(store), nil
	case "import":
		if o.File == "" {
			return nil, fault.New(fault.InvalidInput, "no powers-of-tau file")
		}
		return withMade(store.Import(o.File, o.Digest, o.Power, o.Threads, progress))
	case "make":
		if o.Secure {
			return nil, fault.New(fault.InvalidKey, "a development SRS is insecure, which is refused here; import a powers-of-tau file, with its digest")
		}
		m, err := store.Make(o.Power, o.Threads, progress)
		return withMade(m, true, err)
	case "use":
		if err := store.Use(o.SRS); err != nil {
			return nil, err
		}
		return store.Manifest(o.SRS)
	case "audit":
		m, err := store.Find(o.SRS)
		if err != nil {
			return nil, err
		}
		return m, store.Audit(m)
	}
	return nil, fault.New(fault.Unsupported, "nothing about an SRS is called %q", fault.Shorten(verb, 40))
}

func withMade(m *srs.Manifest, made bool, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return struct {
		*srs.Manifest
		Made bool `json:"made"`
	}{m, made}, nil
}

func listStrings(store srs.Store) *ListedSRS {
	out := &ListedSRS{Strings: []*srs.Manifest{}}
	found, err := store.List()
	if err == nil {
		out.Strings = append(out.Strings, found...)
		var current *srs.Manifest
		if current, err = store.Current(); current != nil {
			out.Current = current.SRSID
		}
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}
