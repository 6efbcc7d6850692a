// Package circuit holds the beacon system's statement as a circuit, and what makes its witness.
//
//	preset.go    the shapes: committee size and depth of the state's branch
//	step.go      the circuit
//	update.go    the inputs, from the Beacon API's JSON or from sync.ssz
//	check.go     the same statement outside the circuit, with an error for each way to be wrong
//	assign.go    witness and public values
package circuit
