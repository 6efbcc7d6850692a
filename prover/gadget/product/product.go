// Package product states that a·b = c, in one constraint.
//
// The library's frontend has no such assertion: its Mul makes a new wire, and a second constraint equates that with c.
// Here the constraint is given to the builder as it is, through the library's own blueprint for a R1C, or as one gate
// of PLONK.
//
// Soundness: the statement is the constraint. Nothing is computed, so that all wires of a, b and c must be set
// elsewhere: inputs, hints or results.
package product

import (
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
)

// keyed is what builders keep by a key while they compile; those of the library have it.
type keyed interface {
	SetKeyValue(key, value any)
	GetKeyValue(key any) any
}

type blueprintKey struct{}

// Assert states that a·b = c. Cost: one constraint.
func Assert(api frontend.API, a, b, c frontend.Variable) {
	if plonk, ok := api.(frontend.PlonkAPI); ok {
		plonk.AddPlonkConstraint(a, b, c, 0, 0, -1, 1, 0)
		return
	}
	left, right, out := linear(api, a), linear(api, b), linear(api, c)
	store, ok := api.Compiler().(keyed)
	if left == nil || right == nil || out == nil || !ok {
		api.AssertIsEqual(api.Mul(a, b), c)
		return
	}
	id, known := store.GetKeyValue(blueprintKey{}).(constraint.BlueprintID)
	if !known {
		id = api.Compiler().AddBlueprint(&constraint.BlueprintGenericR1C{})
		store.SetKeyValue(blueprintKey{}, id)
	}
	if len(right) > len(left) {
		left, right = right, left // the library's order, which leaves more of the key's B points at infinity
	}
	var calldata []uint32
	(&constraint.BlueprintGenericR1C{}).CompressR1C(&constraint.R1C{L: left, R: right, O: out}, &calldata)
	api.Compiler().AddInstruction(id, calldata)
}

// linear returns the wires and coefficients of v: none where v is the constant 0, nil where it is another.
func linear(api frontend.API, v frontend.Variable) constraint.LinearExpression {
	if value, constant := api.Compiler().ConstantValue(v); constant {
		if value.Sign() == 0 {
			return constraint.LinearExpression{}
		}
		return nil
	}
	expression, _ := api.Compiler().ToCanonicalVariable(v).(constraint.LinearExpression)
	return expression
}
