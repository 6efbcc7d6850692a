// Package registry lists the circuits that the program knows, and the families that it makes circuits of: one line for
// each system.
package registry

import (
	"slices"

	"provery/prover/circuits"
	beacon "provery/provery/systems/beacon/circuit"
	hotshot "provery/provery/systems/hotshot/circuit"
	zkml "provery/provery/systems/zkml/circuit"
)

// Circuits describes every circuit.
func Circuits() []*circuits.Circuit {
	return slices.Concat(
		[]*circuits.Circuit{circuits.SelfTest(), circuits.SelfTestPlonk()},
		beacon.Circuits(),
		hotshot.Circuits(),
	)
}

// Catalog finds any circuit, those of families included.
func Catalog() *circuits.Catalog {
	return &circuits.Catalog{Circuits: Circuits(), Families: []*circuits.Family{zkml.Family()}}
}
