// Package msm computes multi-scalar multiplications Σ kᵢ·Pᵢ over BN254's G1 and G2 for points that never
// change, as the points of a proving key do.
//
// Three things distinguish it from a general multi-exponentiation:
//
//   - Fixed bases. A Table may hold, besides each point P, multiples 2^(step·l)·P, so that several windows of
//     the scalars share one set of buckets; wide windows then cost little to sum up. With all multiples there
//     is a single set. How many are held is a matter of memory (Plan).
//   - Sorting. The (point, bucket) pairs of one set are counting-sorted by bucket, and every bucket is summed
//     as a balanced tree, many buckets in one batch. Skewed scalars (bits, bytes, repeated values: circuits
//     are full of them) thus cost no more than random ones, and zero digits cost nothing.
//   - Vectors. One batch of affine additions is a handful of element-wise operations on long vectors of field
//     elements, with one inversion per batch; fp.Vector runs those eight lanes at a time where the processor
//     has AVX-512 IFMA.
//
// Scalars are 254-bit numbers below the group order r, as four little-endian 64-bit limbs in normal (not
// Montgomery) form. Points are affine with coordinates in Montgomery form, (0,0) being infinity.
package msm
