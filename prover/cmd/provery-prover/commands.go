package main

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"provery/prover/binfile"
	"provery/prover/fault"
	"provery/prover/msm"
	"provery/prover/registry"
	"provery/prover/serve"
)

// oneShot are the options of commands that use a key once: no multiples are computed.
func oneShot() serve.Options {
	options := serve.DefaultOptions()
	options.MaxKeyBytes, options.TableBytes, options.EagerBytes = 64<<30, 0, 0
	return options
}

func inspect(arguments []string) error {
	files, err := parse(flag.NewFlagSet("zkey inspect", flag.ContinueOnError), arguments, 1)
	if err != nil {
		return err
	}
	report, err := serve.InspectKey(files[0], "", oneShot().MaxKeyBytes)
	if err != nil {
		return err
	}
	return printJSON(report)
}

func setup(arguments []string) error {
	set := flag.NewFlagSet("zkey setup", flag.ContinueOnError)
	system, out := set.String("r1cs", "", "constraint system"), set.String("out", "", "key to write")
	seedHex := set.String("seed-insecure", "", "hex; makes the key reproducible and forgeable by everyone")
	if _, err := parse(set, arguments, 0, "r1cs", "out"); err != nil {
		return err
	}
	seed, err := hex.DecodeString(*seedHex)
	if err != nil {
		return fmt.Errorf("%w: --seed-insecure is not hexadecimal", errUsage)
	}
	if *seedHex == "" {
		seed = nil
	}
	report, err := serve.Setup(*system, *out, seed, msm.Threads())
	if err != nil {
		return err
	}
	return printJSON(report)
}

func exportVkey(arguments []string) error {
	set := flag.NewFlagSet("zkey export-vkey", flag.ContinueOnError)
	out := set.String("out", "", "file to write; standard output without it")
	files, err := parse(set, arguments, 1)
	if err != nil {
		return err
	}
	vkey, err := serve.ExportVerifyingKey(files[0], oneShot().MaxKeyBytes)
	if err != nil {
		return err
	}
	if *out == "" {
		_, err = os.Stdout.Write(vkey)
		return err
	}
	written, err := binfile.WriteAtomic(*out, vkey)
	if err != nil {
		return err
	}
	return printJSON(written)
}

// single prints the outcome of a job with one item and returns its error.
func single(outcomes []serve.Outcome, err error) error {
	if err != nil {
		return err
	}
	if outcomes[0].Error != nil {
		return outcomes[0].Error
	}
	return printJSON(outcomes[0])
}

func quiet(string, int, int) {}

func witness(arguments []string) error {
	set := flag.NewFlagSet("witness", flag.ContinueOnError)
	wasm, input, out := set.String("wasm", "", "witness generator"), set.String("input", "", "inputs, JSON"), set.String("out", "", "witness to write")
	cache := set.String("wasm-cache", "", "folder that keeps compiled generators")
	if _, err := parse(set, arguments, 0, "wasm", "input", "out"); err != nil {
		return err
	}
	options := oneShot()
	options.CacheDir = *cache
	return single(serve.NewEngine(options).Witness(context.Background(), *wasm, "", []serve.WitnessItem{{InputPath: *input, Out: *out}}, quiet))
}

func prove(arguments []string) error {
	set := flag.NewFlagSet("prove", flag.ContinueOnError)
	key, wtns := set.String("zkey", "", "proving key"), set.String("wtns", "", "witness")
	proof, public := set.String("proof", "", "proof to write"), set.String("public", "", "public inputs to write")
	system := set.String("r1cs", "", "constraint system to check the witness against first")
	if _, err := parse(set, arguments, 0, "zkey", "wtns", "proof", "public"); err != nil {
		return err
	}
	item := serve.ProveItem{Wtns: *wtns, Proof: *proof, Public: *public, R1CS: *system}
	return single(serve.NewEngine(oneShot()).Prove(context.Background(), *key, "", []serve.ProveItem{item}, quiet))
}

func verify(arguments []string) error {
	set := flag.NewFlagSet("verify", flag.ContinueOnError)
	vkey, public, proof := set.String("vkey", "", "verifying key"), set.String("public", "", "public inputs"), set.String("proof", "", "proof")
	if _, err := parse(set, arguments, 0, "vkey", "public", "proof"); err != nil {
		return err
	}
	outcomes, err := serve.NewEngine(oneShot()).Verify(context.Background(), *vkey, "", []serve.VerifyItem{{Proof: *proof, Public: *public}}, quiet)
	if err := single(outcomes, err); err != nil {
		return err
	}
	if !*outcomes[0].Valid {
		printError(fault.New(fault.InvalidInput, "proof rejected: %s", outcomes[0].Reason))
		return errRejected
	}
	return nil
}

func serveLoop(arguments []string) error {
	options := serve.DefaultOptions()
	options.Circuits = registry.Catalog()
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	set.IntVar(&options.Threads, "threads", options.Threads, "threads used at once")
	set.Int64Var(&options.MaxKeyBytes, "max-key-bytes", options.MaxKeyBytes, "memory for all keys")
	set.Int64Var(&options.TableBytes, "table-bytes", options.TableBytes, "memory per key for multiples of its points; 0 for none")
	set.Int64Var(&options.StatementBytes, "statement-bytes", options.StatementBytes, "memory for what proofs of short circuits keep between them")
	set.Int64Var(&options.WidenAfter, "widen-after", options.WidenAfter, "proofs after which a large key gets its multiples")
	set.StringVar(&options.CacheDir, "wasm-cache", "", "folder that keeps compiled generators")
	if _, err := parse(set, arguments, 0); err != nil {
		return err
	}
	stop, signals := make(chan struct{}), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		close(stop)
	}()
	go exitWithParent(os.Getppid())
	return serve.NewEngine(options).Loop(os.Stdin, os.Stdout, version, stop)
}

// exitWithParent ends the program when its parent is gone, so that no orphan keeps proving.
func exitWithParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	os.Exit(exitInternal)
}
