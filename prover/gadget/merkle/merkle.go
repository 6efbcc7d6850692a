// Package merkle folds Merkle branches of SSZ in a circuit.
//
// Statement: root is the root of the tree in which leaf has the generalised index and branch are the siblings on the
// way up, the lowest first.
//
// Cost: one SHA-256 of 64 bytes a level, about 31 k constraints.
//
// Source: the consensus specifications, ssz/merkle-proofs.md and is_valid_merkle_branch.
package merkle

import "provery/prover/gadget/sha256"

// Fold returns the root above leaf. The index is part of the circuit: a branch of another length is another circuit.
func Fold(h *sha256.Hasher, leaf sha256.Digest, index uint64, branch []sha256.Digest) sha256.Digest {
	node := leaf
	for _, sibling := range branch {
		if index&1 == 1 {
			node = h.Pair(sibling, node)
		} else {
			node = h.Pair(node, sibling)
		}
		index >>= 1
	}
	return node
}
