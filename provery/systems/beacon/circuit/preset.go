package circuit

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/algebra/emulated/sw_bls12381"

	"provery/prover/fault"
)

// Preset is a set of the consensus specification's constants.
type Preset struct {
	Name string
	// Committee is the number of keys, a multiple of 32.
	Committee int
	// PeriodBits is the binary logarithm of the slots in a period.
	PeriodBits int
}

// Presets are those that circuits exist for. Gnosis has mainnet's committee and, with half the slots an epoch and
// twice the epochs, mainnet's period.
var Presets = []Preset{{"minimal", 32, 6}, {"mainnet", 512, 13}}

// Depths are the lengths of the next committee's branch in the state: 5 from Altair to Deneb (generalised index 55),
// 6 from Electra on (87), whose state has more than 32 fields. The field's own index is 23 in both.
var Depths = []int{5, 6}

// committeeField is the index of next_sync_committee among the state's fields.
const committeeField = 23

// Shape names one circuit. Shapes of different depth have keys of their own.
type Shape struct {
	Preset Preset
	Depth  int
}

// Shapes lists every circuit.
func Shapes() (out []Shape) {
	for _, preset := range Presets {
		for _, depth := range Depths {
			out = append(out, Shape{preset, depth})
		}
	}
	return out
}

// Name is what commands call the circuit.
func (s Shape) Name() string { return fmt.Sprintf("beacon-step-%s-%d", s.Preset.Name, s.Depth) }

// Field is the scalar field of the curve that proofs are made on.
func (s Shape) Field() ecc.ID { return ecc.BN254 }

// Circuit returns an empty circuit to compile.
func (s Shape) Circuit() *Step {
	return &Step{
		Keys:       make([]sw_bls12381.G1Affine, s.Preset.Committee),
		Bits:       make([]frontend.Variable, s.Preset.Committee),
		Branch:     make([]Node, s.Depth),
		periodBits: s.Preset.PeriodBits,
	}
}

// PresetOf finds a preset by its name.
func PresetOf(name string) (Preset, error) {
	for _, preset := range Presets {
		if preset.Name == name {
			return preset, nil
		}
	}
	return Preset{}, fault.New(fault.InvalidInput, "unknown preset %q; known are minimal and mainnet", fault.Shorten(name, 40))
}
