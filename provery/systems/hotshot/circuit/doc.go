// Package circuit holds the hotshot system's statement as a circuit, and what makes its witness.
//
//	statement.go   the circuit
//	document.go    the input document
//	check.go       the same statement outside the circuit, with an error for each way to be wrong
//	assign.go      witness and public values
//	describe.go    the circuits' names, and their public values by name
//	identity.go    the recorded ids
package circuit
