// Package bls checks BLS12-381 signatures of a committee in a circuit over BN254: keys in G1, signatures in G2.
//
// Each file is one gadget and states what it proves, what it costs and where it is from:
//
//	canonical.go     a coordinate is the number below p, not that number plus p
//	committee.go     keys are canonical points of the curve; their Poseidon2 commitment
//	sum.go           the sum of the keys whose bit is set
//	hashtocurve.go   a message's point in G2
//	verify.go        the pairing equation
//
// Nowhere is a key's membership in the subgroup G1 proven: 127 k constraints a key. It rests on the chain, which
// checks a proof of possession before a key can join a committee.
package bls
