package circuit

// identity is what is known of a circuit without compiling it.
type identity struct {
	// id is the SHA-256 of the compiled constraint system; it names the circuit's keys.
	id          string
	constraints int
}

// identities are checked whenever a circuit is compiled, and by `go run ./bench/circuits`, which prints them.
var identities = map[string]identity{
	"beacon-step-minimal-5": {"fcdf1418fa86e5cf00c2c5627b3515a2a3a5631eb791c5df1acfca31049d7ad2", 1723468},
	"beacon-step-minimal-6": {"3282e0cf7954f2e5caaa7221e187c326f0dd5a8a24ac3813ae3965f87e1f5a7f", 1754555},
	"beacon-step-mainnet-5": {"5691d76f555083b7beff2d41d45de540558a6a3a2517487c57b28f8cfc4814ba", 2258032},
	"beacon-step-mainnet-6": {"bb8d6ea776484789127c1d1ea3d723f8a296c71fbd15b6cee36d887e928b782d", 2289119},
}
