package plonk

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	gnark "github.com/consensys/gnark/backend/plonk/bn254"
)

// script stands in for the system's randomness: draw k is a hash of k, but for one draw that is another.
type script struct{ drawn, other int }

func (s *script) Read(into []byte) (int, error) {
	if len(into) != fr.Bytes {
		return 0, fmt.Errorf("%d bytes were drawn, expected a field element", len(into))
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%d %t", s.drawn, s.drawn == s.other))
	digest[fr.Bytes-1] = 0 // below the modulus
	s.drawn++
	return copy(into, digest[:]), nil
}

// scripted proves with draws of which one is another.
func (r *rig) scripted(other int) (*gnark.Proof, int) {
	r.t.Helper()
	system, draws := rand.Reader, &script{other: other}
	rand.Reader = draws
	proof, err := r.prove()
	rand.Reader = system // a verifier draws, too
	if err != nil {
		r.t.Fatal(err)
	}
	if err := Verify(EncodeProof(proof), r.vk, r.public); err != nil {
		r.t.Fatal(err)
	}
	return proof, draws.drawn
}

// TestBlinding demands that every draw blinds what it is for, and nothing before that: with the wires' two coefficients,
// the grand product's three and the quotient's two, what a proof opens of each column and its commitment are
// independent of the witness.
func TestBlinding(t *testing.T) {
	for commitments := range 2 {
		r := newRig(t, 5, commitments)
		base, drawn := r.scripted(-1)
		before := committed(base)
		// by draw, the first of the commitments that it changes; those of the quotient are drawn first
		first := []int{commitments + 4, commitments + 5}
		for i := range commitments {
			first = append(first, i, i)
		}
		for i := range 3 {
			first = append(first, commitments+i, commitments+i)
		}
		first = append(first, commitments+3, commitments+3, commitments+3)
		if drawn != len(first) {
			t.Fatalf("%d field elements were drawn, expected %d", drawn, len(first))
		}
		for draw, want := range first {
			proof, _ := r.scripted(draw)
			for i, point := range committed(proof) {
				if changed := !point.Equal(&before[i]); i < want && changed || i == want && !changed {
					t.Errorf("with %d commitments draw %d: point %d changed is %t, expected from point %d on", commitments, draw, i, changed, want)
				}
			}
		}
		again, _ := r.scripted(-1)
		if string(EncodeProof(again)) != string(EncodeProof(base)) {
			t.Error("the same draws give another proof")
		}
		// each of the quotient's randomizers goes from one part to the next, and no further
		for draw, kept := range []int{2, 0} {
			if proof, _ := r.scripted(draw); !proof.H[kept].Equal(&base.H[kept]) || proof.H[1].Equal(&base.H[1]) {
				t.Errorf("draw %d blinds other parts of the quotient than its own", draw)
			}
		}
	}
}

// committed are a proof's commitments in the order in which they are made.
func committed(proof *gnark.Proof) []bn254.G1Affine {
	out := append([]bn254.G1Affine(nil), proof.Bsb22Commitments...)
	return append(out, proof.LRO[0], proof.LRO[1], proof.LRO[2], proof.Z, proof.H[0], proof.H[1], proof.H[2])
}
