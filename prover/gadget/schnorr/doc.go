// Package schnorr checks Schnorr signatures over ed_on_bn254 in a circuit over BN254, and outside it.
//
// Statement: (S, R) is a signature of a message of field elements under a key: S·G = R + c·Key, where c is the lowest
// 248 bits of Rescue(domain, Key, R, message) and Key is a point of the curve x² + y² = 1 + d·x²·y² whose order does
// not divide 8.
//
// Each file is one part:
//
//	curve.go       the curve outside a circuit, its Montgomery form, the base point and the offset
//	signature.go   signatures outside a circuit
//	montgomery.go  incomplete additions in a circuit
//	ladder.go      multiples of the key
//	windows.go     multiples of the base point
//	challenge.go   canonical bits of the hash
//	verify.go      the gadget
//
// Cost: 3,908 constraints with a message of 7 elements, 1,434 of them the hash.
//
// Soundness of incomplete additions: adding a point to itself leaves the slope free. The accumulator starts at an
// offset, a hashed point of which nobody knows the logarithm. Every sum is 2^i·offset + k·Key + n·G for known k and
// n, so that a sum that meets what is added to it gives the offset's logarithm in terms of G and Key. With a key
// a·G that is infeasible, even for who knows a. Who has chosen a key as a multiple of the offset can sign under it as
// who knows a secret can; others cannot under theirs. The S of a signature need not be below the group's order, for
// S and S plus the order are one multiple of G.
//
// A signature whose R is the point at infinity has no proof. Whoever has a key can make one, so that it must be dropped
// before a witness is made, as one that is not valid, lest it keep the others' from being proved.
//
// Source: Schnorr: Efficient Signature Generation by Smart Cards (1991), in HotShot's form; Bernstein, Birkner, Joye,
// Lange, Peters: Twisted Edwards Curves (2008), theorem 3.2, for the Montgomery form.
package schnorr
