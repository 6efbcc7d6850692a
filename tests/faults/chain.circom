pragma circom 2.1.9;

// A chain of squarings: quick to compile, and enough work that a kill lands in the middle of a proof.
// Public: out. Private: seed. out = f(…f(f(seed) + 1)… + n - 1), where f squares.
template Chain(n) {
    signal input seed;
    signal output out;

    signal link[n + 1];
    link[0] <== seed;
    for (var i = 0; i < n; i++) {
        link[i + 1] <== link[i] * link[i] + i;
    }
    out <== link[n];
}

component main = Chain(32000);
