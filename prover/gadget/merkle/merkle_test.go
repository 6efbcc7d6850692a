package merkle

import (
	stdsha "crypto/sha256"
	"math/big"
	"testing"

	"github.com/consensys/gnark/frontend"

	"provery/prover/gadget/gadgettest"
	"provery/prover/gadget/sha256"
)

const index = 0b1_0110

type foldCircuit struct {
	Leaf   [2]frontend.Variable
	Branch [][2]frontend.Variable
	Root   [2]frontend.Variable `gnark:",public"`
}

func (c *foldCircuit) Define(api frontend.API) error {
	h := sha256.New(api)
	var branch []sha256.Digest
	for _, node := range c.Branch {
		branch = append(branch, h.Bits(node))
	}
	root := h.Halves(Fold(h, h.Bits(c.Leaf), index, branch))
	api.AssertIsEqual(root[0], c.Root[0])
	api.AssertIsEqual(root[1], c.Root[1])
	return nil
}

func halves(node [32]byte) [2]frontend.Variable {
	return [2]frontend.Variable{new(big.Int).SetBytes(node[:16]), new(big.Int).SetBytes(node[16:])}
}

func assign(leaf [32]byte, branch [][32]byte, root [32]byte) *foldCircuit {
	c := &foldCircuit{Leaf: halves(leaf), Root: halves(root)}
	for _, node := range branch {
		c.Branch = append(c.Branch, halves(node))
	}
	return c
}

func TestFold(t *testing.T) {
	leaf, branch := [32]byte{1}, [][32]byte{{2}, {3}, {4}, {5}}
	root := leaf
	for level, node := range branch {
		if index>>level&1 == 1 {
			root = stdsha.Sum256(append(node[:], root[:]...))
		} else {
			root = stdsha.Sum256(append(root[:], node[:]...))
		}
	}
	system := gadgettest.Compile(t, &foldCircuit{Branch: make([][2]frontend.Variable, len(branch))})
	gadgettest.Honest(t, system, assign(leaf, branch, root))
	gadgettest.Forged(t, "leaf", system, assign([32]byte{9}, branch, root))
	for level := range branch {
		forged := append([][32]byte{}, branch...)
		forged[level][31] ^= 1
		gadgettest.Forged(t, "a node", system, assign(leaf, forged, root))
	}
	for _, at := range []int{0, 16, 31} {
		forged := root
		forged[at] ^= 0x80
		gadgettest.Forged(t, "root", system, assign(leaf, branch, forged))
	}
	swapped := append([][32]byte{}, branch...)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	gadgettest.Forged(t, "order of nodes", system, assign(leaf, swapped, root))
}
