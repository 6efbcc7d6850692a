package circuits

import (
	"encoding/json"
	"math/big"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/rangecheck"

	"provery/prover/fault"
)

// selfTest states that Y = X³ + X + 5 for an X below 2³². It is there to try an installation in a second: it has what
// large circuits have, range checks by lookup and so a commitment, and takes the same path through every command.
type selfTest struct {
	Y frontend.Variable `gnark:",public"`
	X frontend.Variable
}

func (c *selfTest) Define(api frontend.API) error {
	rangecheck.New(api).Check(c.X, 32)
	api.AssertIsEqual(api.Add(api.Mul(c.X, c.X, c.X), c.X, 5), c.Y)
	return nil
}

// SelfTest describes the circuit `self-test`, whose input is {"x": "3"} and optionally "y".
func SelfTest() *Circuit {
	return &Circuit{
		Name: "self-test", About: "y = x³ + x + 5 for a secret x below 2³²: tries an installation in a second",
		ID: selfTestID, Constraints: 26,
		New:    func() frontend.Circuit { return new(selfTest) },
		Assign: assignSelfTest,
		Public: func(values Values) (frontend.Circuit, error) {
			y, ok := new(big.Int).SetString(strings.TrimPrefix(values["y"], "0x"), 16)
			if !ok || len(values) != 1 || y.Sign() < 0 || y.Cmp(fr.Modulus()) >= 0 || hexadecimal(y) != values["y"] {
				return nil, fault.New(fault.InvalidInput, "public values of the self-test are %v, expected y in hexadecimal, below the field's modulus", values)
			}
			return &selfTest{Y: y}, nil
		},
	}
}

// SelfTestPlonk describes `self-test-plonk`: the same statement, input and public value, proved by PLONK.
func SelfTestPlonk() *Circuit {
	c := SelfTest()
	c.Name, c.Scheme, c.ID, c.Constraints = "self-test-plonk", Plonk, selfTestPlonkID, 85
	c.About += ", by PLONK"
	return c
}

func assignSelfTest(input []byte) (frontend.Circuit, Values, error) {
	var given struct{ X, Y string }
	if err := json.Unmarshal(input, &given); err != nil {
		return nil, nil, fault.New(fault.InvalidInput, "input is not the expected JSON: %s", fault.Shorten(err.Error(), 200))
	}
	x, ok := new(big.Int).SetString(given.X, 10)
	if !ok || x.Sign() < 0 {
		return nil, nil, fault.New(fault.InvalidInput, "x is %q, expected a decimal number", fault.Shorten(given.X, 40))
	}
	y := new(big.Int).Exp(x, big.NewInt(3), nil)
	y.Add(y, x).Add(y, big.NewInt(5))
	if given.Y != "" {
		// believed, so that a false statement can be tried
		if _, ok := y.SetString(given.Y, 10); !ok {
			return nil, nil, fault.New(fault.InvalidInput, "y is %q, expected a decimal number", fault.Shorten(given.Y, 40))
		}
	}
	return &selfTest{Y: y, X: x}, Values{"y": hexadecimal(y)}, nil
}

func hexadecimal(n *big.Int) string { return "0x" + n.Text(16) }
