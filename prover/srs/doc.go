// Package srs makes, imports, checks and keeps structured reference strings for KZG commitments over BN254: the powers
// [1]₁, [τ]₁, [τ²]₁, … and [τ]₂ of a secret τ that nobody may know. One SRS serves every PLONK circuit whose domain it
// covers.
//
// A store is the directory srs of a key store: srs/<id>/{g1,lagrange-01,…,manifest.json}, with a file `current` that
// names the one in use. The id is the SHA-256 of g1, which holds the powers; lagrange-k holds the same in the Lagrange
// basis of the domain of size 2^k, [L₀(τ)]₁, [L₁(τ)]₁, ….
package srs
