package plonk

import (
	"fmt"
	"testing"

	gnark "github.com/consensys/gnark/backend/plonk/bn254"
)

// Proofs with a widened key are proofs as any other, again and again.
func TestWidened(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRig(t, size.length, size.commitments)
			key, err := r.key()
			if err != nil {
				t.Fatal(err)
			}
			defer key.Close()
			if key.Widen(2) == 0 || key.wide == nil {
				t.Fatal("the key is not widened")
			}
			if key.Widen(2) != 0 {
				t.Error("it is widened twice")
			}
			for range 3 {
				proof, err := Prove(r.system, key, r.witness, 2, func(string) {})
				if err != nil {
					t.Fatal(err)
				}
				if err := gnark.Verify(proof, r.vk, r.public); err != nil {
					t.Errorf("gnark's verifier: %v", err)
				}
			}
		})
	}
}
