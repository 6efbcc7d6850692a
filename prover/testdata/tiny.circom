// The test circuit: product is the product of two factors that are given in bits and a scale, and no factor is zero.
pragma circom 2.1.0;

template Tiny(BITS) {
    signal input scale;
    signal input left[BITS];
    signal input right[BITS];
    signal output product;

    var leftSum = 0;
    var rightSum = 0;
    for (var i = 0; i < BITS; i++) {
        left[i] * (left[i] - 1) === 0;
        right[i] * (right[i] - 1) === 0;
        leftSum += left[i] * (1 << i);
        rightSum += right[i] * (1 << i);
    }
    signal plain;
    plain <== leftSum * rightSum;
    product <== plain * scale;

    signal inverse;
    inverse <-- product != 0 ? 1 / product : 0;
    product * inverse === 1;
}

component main {public [scale]} = Tiny(4);
