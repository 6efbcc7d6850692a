// Package circuit proves inferences: it turns the document of a quantised model, graph.json, into a circuit.
//
//	reader.go     JSON in its strict form
//	graph.go      the document
//	nodes.go      its operations, and what is checked of each
//	windows.go    convolutions and poolings: which cells a window covers
//	sums.go       operations that are weighted sums
//	bounds.go     the interval that every number stays in
//	evaluate.go   the inference in integers: what is true
//	inference.go  the circuit, and its public values
//	layers.go     its operations
//	digits.go     digits, rescaling and the sign of a number
//	tables.go     functions by tables
//	softmax.go    softmax
//	hints.go      what the solver is told
//	document.go   inputs, witness and public values by name
//	family.go     the circuits' descriptions
//
// Statement, rounding and limits are in docs/zkml-circuit.md.
package circuit
