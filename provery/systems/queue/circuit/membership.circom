pragma circom 2.1.9;

include "circomlib/circuits/poseidon.circom";

// Proves that a user's leaf is in a Merkle tree of 2^depth leaves, for one epoch.
//
//   leaf   = Poseidon(user, nonce)     the nonce keeps a user's leaf from being guessed from its number
//   parent = Poseidon(left, right)     pathIndices[i] = 0: we are the left child at level i, 1: the right one
//   root   = the last parent
//
// Constraint groups (each has an honest and a forged witness in the tests):
//   G1  leaf is the hash of user and nonce
//   G2  every path index is 0 or 1
//   G3  every parent is the hash of its two children, in the order that the index says
//   G4  the computed root is the public root
//   G5  the epoch takes part in a constraint
template Membership(depth) {
    signal input root;
    signal input user;
    signal input epoch;
    signal input leaf;
    signal input nonce;
    signal input pathElements[depth];
    signal input pathIndices[depth];

    // G1
    component leafHash = Poseidon(2);
    leafHash.inputs[0] <== user;
    leafHash.inputs[1] <== nonce;
    leaf === leafHash.out;

    signal node[depth + 1];
    signal swap[depth];
    component parent[depth];
    node[0] <== leaf;
    for (var i = 0; i < depth; i++) {
        // G2: another number would mix the children into a pair that is neither (left, right) nor (right, left).
        pathIndices[i] * (pathIndices[i] - 1) === 0;

        // G3: with swap = index * (sibling - node), left = node + swap and right = sibling - swap.
        swap[i] <== pathIndices[i] * (pathElements[i] - node[i]);
        parent[i] = Poseidon(2);
        parent[i].inputs[0] <== node[i] + swap[i];
        parent[i].inputs[1] <== pathElements[i] - swap[i];
        node[i + 1] <== parent[i].out;
    }

    // G4
    root === node[depth];

    // G5: the epoch is no part of the tree; it names the round that the proof was made for. A verifier binds a public
    // input through that input's own point in the key. Where no constraint mentions the input, the point is zero
    // unless the set-up happens to add a row for it (snarkjs does, others do not), and with a zero point a finished
    // proof would verify for every epoch. The square makes the epoch part of a constraint under every set-up.
    signal epochSquare <== epoch * epoch;
}

component main {public [root, user, epoch]} = Membership(4);
