package circuit

// identity is what is known of a circuit without compiling it.
type identity struct {
	// id is the SHA-256 of the compiled constraint system; it names the circuit's keys.
	id          string
	constraints int
}

// identities are checked whenever a circuit is compiled, and by `go run ./bench/circuits`, which prints them.
var identities = map[string]identity{
	"hotshot-state-10":  {"f4eb4a8ecfb08d38bd2b9982f39c314297130ed6c3299345e6e1274ebf36573c", 42414},
	"hotshot-state-100": {"2bfa020b57d77a57098b0222a4f4f45b175007125dc6bc8bb24954e4935c4b59", 420414},
	"hotshot-state-200": {"7d5466357cf3cdc03d8283d75694d4e600290eb188c4c7ac6842e932efe73699", 840414},
}
