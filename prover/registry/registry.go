// Package registry lists the circuits that the program knows: one line for each system.
package registry

import (
	"slices"

	"provery/prover/circuits"
	beacon "provery/provery/systems/beacon/circuit"
	hotshot "provery/provery/systems/hotshot/circuit"
)

// Circuits describes every circuit.
func Circuits() []*circuits.Circuit {
	return slices.Concat(
		[]*circuits.Circuit{circuits.SelfTest(), circuits.SelfTestPlonk()},
		beacon.Circuits(),
		hotshot.Circuits(),
	)
}
