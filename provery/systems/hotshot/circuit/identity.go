package circuit

// identity is what is known of a circuit without compiling it.
type identity struct {
	// id is the SHA-256 of the compiled constraint system; it names the circuit's keys.
	id          string
	constraints int
}

// identities are checked whenever a circuit is compiled, and by `go run ./bench/circuits`, which prints them.
var identities = map[string]identity{
	"hotshot-state-10":        {"f4eb4a8ecfb08d38bd2b9982f39c314297130ed6c3299345e6e1274ebf36573c", 42414},
	"hotshot-state-100":       {"2bfa020b57d77a57098b0222a4f4f45b175007125dc6bc8bb24954e4935c4b59", 420414},
	"hotshot-state-200":       {"7d5466357cf3cdc03d8283d75694d4e600290eb188c4c7ac6842e932efe73699", 840414},
	"hotshot-state-10-plonk":  {"54d54363dd3e840d1e1b7f7e4eecad4e4a0446abb3265089082464147b252bae", 100873},
	"hotshot-state-100-plonk": {"5d30877a1ca15f4ebcc294c9f1685e62c2c174effec1a7381ac82016a6e16d8c", 1001323},
	"hotshot-state-200-plonk": {"5c43cf3f5bf27bad861f006771dda25833205f79871a92f87cbdc9f65ce568b3", 2001823},
}
