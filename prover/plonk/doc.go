// Package plonk sets PLONK circuits up, proves and verifies them. Keys and proofs are those of gnark: its verifier and
// the Solidity contract that it exports accept them. The prover is our own, for its time and memory:
//
//   - The columns that are the same for every proof are kept as coefficients in the key's file, which is mapped.
//   - The quotient is interpolated from three cosets of the domain rather than four: of its 3n+6 coefficients the upper
//     six follow from the upper ones of the wires. Each column is transformed once for each coset.
//   - The commitment to the linearised polynomial is the combination of commitments that the verifier makes, no sum over
//     points of its own.
//   - Sums over points are those of package msm, one after another, on points that stay in the SRS's file.
//
// Source: Gabizon, Williamson, Ciobotaru: PLONK, 2019 (the version with linearisation); gnark v0.16.0,
// backend/plonk/bn254, whose transcript, blinding, order of openings and custom gates for commitments this follows.
package plonk
