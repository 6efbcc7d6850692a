// Package sha256 computes SHA-256 in a circuit, on single bits.
//
// Statement: Digest = SHA-256(message) for a message whose length is fixed when the circuit is compiled. All bits of
// the message must be boolean already; Bits makes them so.
//
// Cost: 200 constraints a round and 99 a word of the message schedule; about 17 k a block of unknown content, 12.5 k
// a block of constant content, nothing where everything is constant. No lookups, hence no commitment, and no hints
// but those of the binary decomposition of sums.
//
// Method: exclusive or x and majority m of three bits depend on their sum s = x + 2m only. For s from 0 to 3 the
// quotient q = s/(2s − 3) is 0, −1, 2, 1, so that
//
//	x = (s − q)/2    m = (s + q)/4
//
// and one constraint a bit, q·(2s − 3) = s, gives either. The denominators are −3, −1, 1 and 3: never zero in a field
// of characteristic above 3, so q is unique and the results are boolean without a check.
//
// Source: FIPS 180-4, sections 4.1.2, 5.1.1 and 6.2.
package sha256
