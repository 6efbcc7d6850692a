package sp1

import (
	"encoding/hex"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"provery/prover/fault"
)

// wrapper is the verifying key of one release of SP1's Groth16 circuit. It has two public inputs: the program's hash
// and the hash of the public values. Points of the second group are kept negated, as the pairing check wants them.
type wrapper struct {
	alpha                         bn254.G1Affine
	betaNeg, gammaNeg, deltaNeg   bn254.G2Affine
	constant, onProgram, onPublic bn254.G1Affine
}

// wrappers holds the known keys as text, by selector: the first four bytes of the SHA-256 of SP1's key file. Each
// coordinate is a big-endian field element; a point of the second group is x0, x1, y0, y1 with x = x0 + x1·u.
// Source: Groth16Verifier.sol of the SP1 contracts of that release. A proof of another release is refused.
var wrappers = map[[4]byte]func() (*wrapper, error){
	{0xa4, 0x59, 0x4c, 0x59}: sync.OnceValues(func() (*wrapper, error) { return parseWrapper(v5) }), // v5.0.0
}

var v5 = [20]string{
	"2d4d9aa7e302d9df41749d5507949d05dbea33fbb16c643b22f599a2be6df2e2", // alpha
	"14bedd503c37ceb061d8ec60209fe345ce89830a19230301f076caff004d1926",
	"0e187847ad4c798374d0d6732bf501847dd68bc0e071241e0213bc7fc13db7ab", // -beta
	"0967032fcbf776d1afc985f88877f182d38480a653f2decaa9794cbc3bf3060c",
	"192a8cc13cd9f762871f21e43451c6ca9eeab2cb2987c4e366a185c25dac2e7f",
	"001752a100a72fdf1e5a5d6ea841cc20ec838bccfcf7bd559e79f1c9c759b6a0",
	"1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed", // -gamma
	"198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2",
	"1d9befcd05a5323e6da4d435f3b617cdb3af83285c2df711ef39c01571827f9d",
	"275dc4a288d1afb3cbb1ac09187524c7db36395df7be3b99e673b13a075a65ec",
	"03ff41f4ba0c37fe2caf27354d28e4b8f83d3b76777a63b327d736bffb0122ed", // -delta
	"1cc7cb8de715675f21f01ecc9b46d236e0865e0cc020024521998269845f74e6",
	"192bd3274441670227b4f69a44005b8711266e474227c6439ca25ca8e1ec1fc2",
	"01909cd7827e0278e6b60843a4abc7b111d7f8b2725cd5902a6b20da7a2938fb",
	"26091e1cafb0ad8a4ea0a694cd3743ebf524779233db734c451d28b58aa9758e", // constant term
	"009ff50a6b8b11c3ca6fdb2690a124f8ce25489fefa65a3e782e7ba70b66690e",
	"061c3fd0fd3da25d2607c227d090cca750ed36c6ec878755e537c1c48951fb4c", // of the program hash
	"0fa17ae9c2033379df7b5c65eff0e107055e9a273e6119a212dd09eb51707219",
	"04eab241388a79817fe0e0e2ead0b2ec4ffdec51a16028dee020634fd129e71c", // of the public values' hash
	"07236256d21c60d02f0bdbf95cff83e03ea9e16fca56b18d5544b0889a65c1f5",
}

func parseWrapper(text [20]string) (*wrapper, error) {
	var numbers [20]fp.Element
	for i, digits := range text {
		bytes, err := hex.DecodeString(digits)
		if err == nil {
			err = numbers[i].SetBytesCanonical(bytes)
		}
		if err != nil {
			return nil, fault.New(fault.Internal, "number %d of SP1's verifying key: %v", i, err)
		}
	}
	first := func(at int) bn254.G1Affine { return bn254.G1Affine{X: numbers[at], Y: numbers[at+1]} }
	second := func(at int) bn254.G2Affine {
		return bn254.G2Affine{
			X: bn254.E2{A0: numbers[at], A1: numbers[at+1]},
			Y: bn254.E2{A0: numbers[at+2], A1: numbers[at+3]},
		}
	}
	key := &wrapper{first(0), second(2), second(6), second(10), first(14), first(16), first(18)}
	for _, point := range []bn254.G1Affine{key.alpha, key.constant, key.onProgram, key.onPublic} {
		if !point.IsOnCurve() {
			return nil, fault.New(fault.Internal, "SP1's verifying key has a point off the curve")
		}
	}
	for _, point := range []bn254.G2Affine{key.betaNeg, key.gammaNeg, key.deltaNeg} {
		if !point.IsOnCurve() || !point.IsInSubGroup() {
			return nil, fault.New(fault.Internal, "SP1's verifying key has a point outside its group")
		}
	}
	return key, nil
}
