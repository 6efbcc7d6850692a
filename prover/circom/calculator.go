// Package circom runs the WebAssembly witness generators that circom 2 emits, inside the process.
//
// The interface, from circom's generated code: values are exchanged as eight 32-bit words, least first,
// through a shared buffer in the module's memory; input signals are named by the 64-bit FNV-1a hash of their
// name, in two halves; a failing assertion calls the import runtime.exceptionHandler after its text was
// offered, character by character, by getMessageChar.
package circom

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"provery/prover/fault"
	"provery/prover/msm"
)

// Calculator is a compiled witness generator. It is safe for concurrent use: each computation takes an
// instance of its own from a pool.
type Calculator struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	lock    sync.Mutex
	idle    []*instance
	// WASMBytes is the size of the module the calculator was compiled from.
	WASMBytes int64
}

// Options say how to compile.
type Options struct {
	// CacheDir, if not empty, keeps compiled code between runs of the program.
	CacheDir string
}

// maxMemoryPages bounds a generator's memory: 65,536-byte pages, 2 GiB together.
const maxMemoryPages = 1 << 15

// requiredExports are the functions of a circom 2 generator that this package calls.
var requiredExports = []string{"getVersion", "getSharedRWMemoryStart", "writeSharedRWMemory", "getFieldNumLen32",
	"getRawPrime", "init", "getInputSignalSize", "setInputSignal", "getInputSize", "getWitnessSize", "getWitness", "getMessageChar"}

// Compile translates a witness generator to machine code. Errors: invalid_input if it is no WebAssembly,
// unsupported if it is no circom 2 generator.
func Compile(ctx context.Context, wasm []byte, options Options) (*Calculator, error) {
	// Stopping a generator in the middle would need a check in each of its loops, which makes it six times
	// slower; a runaway generator is ended with the process.
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(maxMemoryPages)
	if options.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(options.CacheDir)
		if err != nil {
			return nil, fault.New(fault.IO, "cache of compiled code: %v", err)
		}
		config = config.WithCompilationCache(cache)
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, config)
	module, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		runtime.Close(ctx)
		return nil, fault.New(fault.InvalidInput, "the witness generator is not WebAssembly: %s", fault.Shorten(err.Error(), 200))
	}
	exports := module.ExportedFunctions()
	for _, name := range requiredExports {
		if _, ok := exports[name]; !ok {
			runtime.Close(ctx)
			return nil, fault.New(fault.Unsupported, "the module exports no function %s: not a witness generator of circom 2.0.7 or later", name)
		}
	}
	if err := addImports(ctx, runtime, module); err != nil {
		runtime.Close(ctx)
		return nil, err
	}
	return &Calculator{runtime: runtime, module: module, WASMBytes: int64(len(wasm))}, nil
}

// Close frees the compiled code.
func (c *Calculator) Close() { c.runtime.Close(context.Background()) }

// Witness computes all signal values, in normal form, for inputs given as a JSON object. Errors:
// invalid_input for inputs that are malformed or do not fit the circuit's signals, invalid_witness with
// circom's own message when an assertion fails, cancelled if ctx ended before the computation began.
func (c *Calculator) Witness(ctx context.Context, inputs []byte) ([]msm.Scalar, error) {
	if ctx.Err() != nil {
		return nil, fault.New(fault.Cancelled, "cancelled before the witness was computed")
	}
	signals, err := parseInputs(inputs)
	if err != nil {
		return nil, err
	}
	inst, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	witness, err := inst.compute(ctx, signals)
	if err != nil {
		// an aborted computation leaves the instance in an unknown state
		inst.module.Close(context.Background())
		return nil, err
	}
	c.lock.Lock()
	c.idle = append(c.idle, inst)
	c.lock.Unlock()
	return witness, nil
}

func (c *Calculator) take(ctx context.Context) (*instance, error) {
	c.lock.Lock()
	if n := len(c.idle); n > 0 {
		inst := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.lock.Unlock()
		return inst, nil
	}
	c.lock.Unlock()
	module, err := c.runtime.InstantiateModule(ctx, c.module, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, fault.New(fault.Resource, "cannot start the witness generator: %s", fault.Shorten(err.Error(), 200))
	}
	inst := &instance{module: module, functions: map[string]api.Function{}}
	for _, name := range requiredExports {
		inst.functions[name] = module.ExportedFunction(name)
	}
	return inst, inst.checkField(ctx)
}

// instance is one running generator.
type instance struct {
	module    api.Module
	functions map[string]api.Function
	shared    uint32
}

// call runs an export that returns one number or none.
func (i *instance) call(ctx context.Context, name string, arguments ...uint64) (uint32, error) {
	results, err := i.functions[name].Call(ctx, arguments...)
	if err != nil {
		var raised *exception
		if errors.As(err, &raised) {
			return 0, raised.fault()
		}
		return 0, fault.New(fault.InvalidWitness, "the witness generator stopped in %s: %s", name, fault.Shorten(firstLine(err.Error()), 200))
	}
	if len(results) == 0 {
		return 0, nil
	}
	return uint32(results[0]), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (i *instance) checkField(ctx context.Context) (err error) {
	version, err := i.call(ctx, "getVersion")
	if err != nil {
		return err
	}
	words, err := i.call(ctx, "getFieldNumLen32")
	if err != nil {
		return err
	}
	if version != 2 || words != 8 {
		return fault.New(fault.Unsupported, "the witness generator is of circom %d with a field of %d words, expected circom 2 and 8 (bn128)", version, words)
	}
	if i.shared, err = i.call(ctx, "getSharedRWMemoryStart"); err != nil {
		return err
	}
	if _, err = i.call(ctx, "getRawPrime"); err != nil {
		return err
	}
	prime, err := i.read()
	if err != nil {
		return err
	}
	for limb, w := range fr.Modulus().Bits() {
		if prime[limb] != uint64(w) {
			return fault.New(fault.Unsupported, "the witness generator is over another field than bn128's")
		}
	}
	return nil
}

// read takes the value out of the shared buffer.
func (i *instance) read() (k msm.Scalar, err error) {
	bytes, ok := i.module.Memory().Read(i.shared, 32)
	if !ok {
		return k, fault.New(fault.Unsupported, "the witness generator's shared buffer lies outside its memory")
	}
	for limb := range k {
		k[limb] = binary.LittleEndian.Uint64(bytes[8*limb:])
	}
	return k, nil
}

func (i *instance) compute(ctx context.Context, signals []signal) ([]msm.Scalar, error) {
	raised := &exception{}
	ctx = context.WithValue(ctx, exceptionKey{}, raised)
	if _, err := i.call(ctx, "init", 0); err != nil {
		return nil, err
	}
	if err := i.setInputs(ctx, signals); err != nil {
		return nil, err
	}
	size, err := i.call(ctx, "getWitnessSize")
	if err != nil {
		return nil, err
	}
	witness := make([]msm.Scalar, size)
	get := i.functions["getWitness"]
	stack := make([]uint64, 1)
	for n := range witness {
		stack[0] = uint64(n)
		if err := get.CallWithStack(ctx, stack); err != nil {
			return nil, fault.New(fault.InvalidWitness, "reading value %d of the witness: %s", n, fault.Shorten(firstLine(err.Error()), 200))
		}
		if witness[n], err = i.read(); err != nil {
			return nil, err
		}
		if !msm.Canonical(witness[n]) {
			return nil, fault.New(fault.InvalidWitness, "value %d of the witness is not below the field's order", n)
		}
	}
	return witness, nil
}

// setInputs passes all inputs; with the last one the generator computes everything. All sizes are checked
// first, so that an incomplete set of inputs never starts it.
func (i *instance) setInputs(ctx context.Context, signals []signal) error {
	total, err := i.call(ctx, "getInputSize")
	if err != nil {
		return err
	}
	given := 0
	for _, s := range signals {
		high, low := nameHash(s.name)
		size, err := i.call(ctx, "getInputSignalSize", high, low)
		if err != nil {
			return err
		}
		switch {
		case int32(size) < 0:
			return fault.New(fault.InvalidInput, "signal %s is not an input of the circuit (its %d values are %s)", fault.Shorten(s.name, 60), len(s.values), s.sample())
		case len(s.values) != int(size):
			return fault.New(fault.InvalidInput, "signal %s has %d values, expected %d (given: %s)", fault.Shorten(s.name, 60), len(s.values), size, s.sample())
		}
		given += len(s.values)
	}
	if given != int(total) {
		return fault.New(fault.InvalidInput, "inputs are missing: %d of %d values given, by the signals %s", given, total, names(signals))
	}
	for _, s := range signals {
		high, low := nameHash(s.name)
		for at, value := range s.values {
			var bytes [32]byte
			for limb, n := range value {
				binary.LittleEndian.PutUint64(bytes[8*limb:], n)
			}
			if !i.module.Memory().Write(i.shared, bytes[:]) {
				return fault.New(fault.Unsupported, "the witness generator's shared buffer lies outside its memory")
			}
			if _, err := i.call(ctx, "setInputSignal", high, low, uint64(at)); err != nil {
				return err
			}
		}
	}
	return nil
}

func nameHash(name string) (high, low uint64) {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	sum := hash.Sum64()
	return sum >> 32, sum & 0xffffffff
}

func (s signal) sample() string {
	if len(s.values) == 0 {
		return "none"
	}
	return fmt.Sprintf("0x%x… first", s.values[0][0])
}

func names(signals []signal) string {
	list := make([]string, len(signals))
	for i, s := range signals {
		list[i] = s.name
	}
	if len(list) == 0 {
		return "(none)"
	}
	return fault.Shorten(strings.Join(list, ", "), 200)
}
