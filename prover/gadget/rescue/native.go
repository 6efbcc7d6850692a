package rescue

import (
	"encoding/hex"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

var (
	mds  [width][width]fr.Element
	keys [2*rounds + 1][width]fr.Element
	// inverse has the digits of 1/5 modulo the order of the field's group, base 16, the highest first.
	inverse [64]byte
)

func init() {
	for i, text := 0, mdsText; text != ""; i, text = i+1, text[64:] {
		mds[i/width][i%width] = element(text[:64])
	}
	for i, text := 0, roundText; text != ""; i, text = i+1, text[64:] {
		keys[i/width][i%width] = element(text[:64])
	}
	for i, digit := range []byte("26b6a528b427b35493736af8679aad17535cb9d394945a0dcfe7f7a98ccccccd") {
		value, _ := hex.DecodeString("0" + string(digit))
		inverse[i] = value[0]
	}
}

func element(text string) (x fr.Element) {
	bytes, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	x.SetBytes(bytes)
	return x
}

// Native is Hasher.Sum outside a circuit; half a millisecond for three elements.
func Native(inputs ...fr.Element) fr.Element {
	message := append(append(make([]fr.Element, 0, len(inputs)+rate), inputs...), fr.One())
	for len(message)%rate != 0 {
		message = append(message, fr.Element{})
	}
	var state [width]fr.Element
	for start := 0; start < len(message); start += rate {
		for i := range rate {
			state[i].Add(&state[i], &message[start+i])
		}
		permute(&state)
	}
	return state[0]
}

func permute(state *[width]fr.Element) {
	for i := range state {
		state[i].Add(&state[i], &keys[0][i])
	}
	for r := range rounds {
		for i := range state {
			state[i] = *root(&state[i])
		}
		mix(state, &keys[2*r+1])
		for i := range state {
			var fourth fr.Element
			fourth.Square(&state[i]).Square(&fourth)
			state[i].Mul(&state[i], &fourth)
		}
		mix(state, &keys[2*r+2])
	}
}

// root returns the fifth root of x, its power by inverse: 252 squarings and one multiplication a digit.
func root(x *fr.Element) *fr.Element {
	var powers [16]fr.Element
	powers[0].SetOne()
	for i := 1; i < len(powers); i++ {
		powers[i].Mul(&powers[i-1], x)
	}
	out := powers[inverse[0]]
	for _, digit := range inverse[1:] {
		out.Square(&out).Square(&out).Square(&out).Square(&out)
		if digit != 0 {
			out.Mul(&out, &powers[digit])
		}
	}
	return &out
}

func mix(state *[width]fr.Element, key *[width]fr.Element) {
	var next [width]fr.Element
	for i := range next {
		next[i] = key[i]
		for j := range state {
			var term fr.Element
			next[i].Add(&next[i], term.Mul(&mds[i][j], &state[j]))
		}
	}
	*state = next
}
