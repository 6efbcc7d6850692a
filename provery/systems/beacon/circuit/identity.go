package circuit

// identity is what is known of a circuit without compiling it.
type identity struct {
	// id is the SHA-256 of the compiled constraint system; it names the circuit's keys.
	id          string
	constraints int
}

// identities are checked whenever a circuit is compiled, and by `go run ./bench/circuits`, which prints them.
var identities = map[string]identity{
	"beacon-step-minimal-5": {"188ea091f96c899f7e29f243093423d9c311c0d3971bdc4c42de4651bdbd1538", 1723469},
	"beacon-step-minimal-6": {"e63f9bd21ae7c17aa83f17cb391c71d8307350e441c94636e979aa1009a44c51", 1754556},
	"beacon-step-mainnet-5": {"272ffd65198b723fea9ddf300ba13664486fddf5397390b523845151ca93a464", 2258033},
	"beacon-step-mainnet-6": {"bef851affd2c36a0bdb18945dcfc3fbce13c5e5f4db7cdd178a4f8730af2fc45", 2289120},
}
