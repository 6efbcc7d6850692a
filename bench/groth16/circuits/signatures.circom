// N EdDSA-Poseidon signatures on BabyJubJub over one message, all of which must verify.
// Public: the message and, last, the number of signatures is fixed by N.
pragma circom 2.1.0;

include "circomlib/circuits/eddsaposeidon.circom";

template Signatures(N) {
    signal input message;
    signal input keyX[N];
    signal input keyY[N];
    signal input s[N];
    signal input r8x[N];
    signal input r8y[N];

    component verifier[N];
    for (var i = 0; i < N; i++) {
        verifier[i] = EdDSAPoseidonVerifier();
        verifier[i].enabled <== 1;
        verifier[i].Ax <== keyX[i];
        verifier[i].Ay <== keyY[i];
        verifier[i].S <== s[i];
        verifier[i].R8x <== r8x[i];
        verifier[i].R8y <== r8y[i];
        verifier[i].M <== message;
    }
}
