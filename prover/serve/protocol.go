package serve

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"provery/prover/fault"
	"provery/prover/mapfile"
	"provery/prover/pace"
	"provery/prover/statement"
)

// request is one line from the caller. Which fields count depends on Op.
type request struct {
	ID          string          `json:"id"`
	Op          string          `json:"op"`
	Wasm        string          `json:"wasm"`
	WasmSHA256  string          `json:"wasm_sha256"`
	Zkey        string          `json:"zkey"`
	ZkeySHA256  string          `json:"zkey_sha256"`
	Vkey        string          `json:"vkey"`
	VkeySHA256  string          `json:"vkey_sha256"`
	Widen       bool            `json:"widen"`
	Target      string          `json:"target"`
	Items       json.RawMessage `json:"items"`
	Traceparent string          `json:"traceparent"`
	// what the ops on the program's own circuits take
	statement.Order
}

// reply is one line to the caller that ends a request.
type reply struct {
	ID     string       `json:"id"`
	OK     bool         `json:"ok"`
	Result any          `json:"result,omitempty"`
	Error  *fault.Error `json:"error,omitempty"`
	Span   *span        `json:"span,omitempty"`
}

// span echoes a request's traceparent with the times it was worked on, in nanoseconds since 1970.
type span struct {
	Traceparent string `json:"traceparent"`
	Start       int64  `json:"start_unix_ns"`
	End         int64  `json:"end_unix_ns"`
}

type progressLine struct {
	ID       string       `json:"id"`
	Progress progressStep `json:"progress"`
}

type progressStep struct {
	Step  string `json:"step"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// itemsResult is the result of witness, prove and verify.
type itemsResult struct {
	Items []Outcome `json:"items"`
	usage
}

// usage is what a request took: the process's processor time and wall time in seconds while it ran, and the
// most memory the process ever had.
type usage struct {
	CPU     float64 `json:"cpu_s"`
	Wall    float64 `json:"wall_s"`
	PeakRSS int64   `json:"peak_rss_bytes"`
}

// operations are what serve announces.
var operations = []string{"ping", "inspect", "load", "witness", "prove", "verify", "cancel",
	"circuit_list", "circuit_setup", "circuit_check", "circuit_prove", "circuit_verify",
	"circuit_export", "circuit_use", "circuit_audit", "ceremony_init", "ceremony_contribute", "ceremony_verify", "ceremony_seal",
	"srs_list", "srs_import", "srs_make", "srs_use", "srs_audit"}

// perform does one request and returns its result.
func (e *Engine) perform(ctx context.Context, r *request, report progress) (result any, err error) {
	start, cpu := time.Now(), cpuSeconds(false)
	used := func() usage {
		return usage{cpuSeconds(false) - cpu, time.Since(start).Seconds(), peakRSSBytes()}
	}
	err = guarded(func() error {
		if strings.HasPrefix(r.Op, "circuit_") || strings.HasPrefix(r.Op, "ceremony_") || strings.HasPrefix(r.Op, "srs_") {
			return mapfile.Guard(func() error {
				result, err = e.circuit(r, report, used)
				return err
			})
		}
		var outcomes []Outcome
		switch r.Op {
		case "inspect":
			result, err = InspectKey(r.Zkey, r.ZkeySHA256, e.options.MaxKeyBytes)
			return err
		case "load":
			result, err = e.load(ctx, r, used)
			return err
		case "witness":
			var items []WitnessItem
			if err = readItems(r, r.Wasm, "wasm", &items); err == nil {
				outcomes, err = e.Witness(ctx, r.Wasm, r.WasmSHA256, items, report)
			}
		case "prove":
			var items []ProveItem
			if err = readItems(r, r.Zkey, "zkey", &items); err == nil {
				outcomes, err = e.Prove(ctx, r.Zkey, r.ZkeySHA256, items, report)
			}
		case "verify":
			var items []VerifyItem
			if err = readItems(r, r.Vkey, "vkey", &items); err == nil {
				outcomes, err = e.Verify(ctx, r.Vkey, r.VkeySHA256, items, report)
			}
		default:
			return fault.New(fault.Unsupported, "unknown op %q", fault.Shorten(r.Op, 40))
		}
		result = itemsResult{outcomes, used()}
		return err
	})
	return result, err
}

func readItems[T any](r *request, path, name string, items *[]T) error {
	if path == "" {
		return fault.New(fault.InvalidInput, "op %s needs %s", r.Op, name)
	}
	if err := json.Unmarshal(r.Items, items); err != nil {
		return fault.New(fault.InvalidInput, "items of op %s: %s", r.Op, fault.Shorten(err.Error(), 200))
	}
	if len(*items) == 0 {
		return fault.New(fault.InvalidInput, "op %s needs at least one item", r.Op)
	}
	return nil
}

// load brings a key, a generator or both into memory.
func (e *Engine) load(ctx context.Context, r *request, used func() usage) (any, error) {
	if r.Zkey == "" && r.Wasm == "" {
		return nil, fault.New(fault.InvalidInput, "op load needs zkey or wasm")
	}
	var out struct {
		Key      any   `json:"key,omitempty"`
		KeyBytes int64 `json:"key_memory_bytes,omitempty"`
		usage
	}
	if r.Zkey != "" {
		entry, err := e.provingKey(r.Zkey, r.ZkeySHA256)
		if err != nil {
			return nil, err
		}
		if r.Widen {
			e.widen(entry.value, e.options.Threads)
		}
		out.Key, out.KeyBytes = entry.value.summary, entry.value.pk.Bytes()
	}
	if r.Wasm != "" {
		if _, err := e.calculator(ctx, r.Wasm, r.WasmSHA256); err != nil {
			return nil, err
		}
	}
	out.usage = used()
	return out, nil
}

// circuit does a request on the program's own circuits. It cannot be cancelled once begun: kill the process.
func (e *Engine) circuit(r *request, report progress, used func() usage) (any, error) {
	type answer struct {
		Result any `json:"result"`
		usage
	}
	if r.Op == "circuit_list" {
		return answer{statement.List(e.options.Circuits.Circuits, &r.Order), used()}, nil
	}
	tell := pace.Tell(func(phase string, done float64) { report(phase, int(1000*done), 1000) })
	if step, is := strings.CutPrefix(r.Op, "ceremony_"); is {
		result, err := r.Ceremony(e.options.Circuits.Circuits, step, tell)
		return answer{result, used()}, err
	}
	order := r.Order
	if order.Threads <= 0 {
		order.Threads = e.options.Threads
	}
	if verb, is := strings.CutPrefix(r.Op, "srs_"); is {
		result, err := order.Strings(verb, tell)
		return answer{result, used()}, err
	}
	order.Residents = e.statements
	c, err := e.options.Circuits.Find(r.Circuit, r.Document)
	if err != nil {
		return nil, err
	}
	var result any
	switch r.Op {
	case "circuit_setup":
		result, err = order.SetUp(c, tell)
	case "circuit_check":
		result, err = order.Check(c)
	case "circuit_prove":
		result, err = order.Prove(c, tell)
	case "circuit_verify":
		result, err = order.Verify(c)
	case "circuit_export":
		result, err = order.ExportVerifier(c)
	case "circuit_use":
		result, err = order.Use(c)
	case "circuit_audit":
		result, err = order.Audit(c)
	default:
		err = fault.New(fault.Unsupported, "unknown op %q", fault.Shorten(r.Op, 40))
	}
	return answer{result, used()}, err
}
