package statement

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provery/prover/circuits"
	"provery/prover/fault"
	"provery/prover/mapfile"
)

// TestKeyCutShortWhileProving cuts the mapped files of a key after they were opened.
func TestKeyCutShortWhileProving(t *testing.T) {
	for _, c := range []*circuits.Circuit{circuits.SelfTest(), circuits.SelfTestPlonk()} {
		for _, length := range []int64{mapfile.HeaderBytes, 0} {
			r := newRig(t, c, `{"x":"3"}`)
			r.setUp()
			paths, err := filepath.Glob(filepath.Join(r.order.Keys, "*", "*", "pk"))
			if err != nil || len(paths) != 1 {
				t.Fatalf("proving keys: %v, %v", paths, err)
			}
			_, err = r.order.Prove(c, func(phase string, _ float64) {
				if phase != "load" {
					_ = os.Truncate(paths[0], length)
				}
			})
			var known *fault.Error
			if !errors.As(err, &known) || known.Kind != fault.InvalidKey || !strings.Contains(known.Message, paths[0]) ||
				!strings.Contains(known.Message, "bytes, expected") {
				t.Errorf("%s cut to %d bytes: %v", c.Name, length, err)
			}
		}
	}
}
