pragma circom 2.1.9;

include "circomlib/circuits/poseidon.circom";

// A chain of Poseidon hashes: enough work that a kill lands in the middle of a proof.
// Public: out. Private: seed. out = Poseidon(…Poseidon(seed, 0)…, n - 1).
template Chain(n) {
    signal input seed;
    signal output out;

    component hash[n];
    for (var i = 0; i < n; i++) {
        hash[i] = Poseidon(2);
        hash[i].inputs[0] <== i == 0 ? seed : hash[i - 1].out;
        hash[i].inputs[1] <== i;
    }
    out <== hash[n - 1].out;
}

component main = Chain(240);
