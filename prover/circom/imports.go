package circom

import (
	"context"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"provery/prover/fault"
)

// exception collects what a generator says while one witness is computed.
type exception struct {
	code    int32
	message strings.Builder
}

// exceptionKey finds the computation's exception in a context.
type exceptionKey struct{}

// maxMessage bounds in bytes how much of a generator's error text is kept.
const maxMessage = 2000

// exceptionMeanings are circom's codes.
var exceptionMeanings = map[int32]string{1: "signal not found", 2: "too many signals set", 3: "signal already set",
	4: "assert failed", 5: "not enough memory", 6: "input signal array access exceeds the size",
	7: "out of bounds array access"}

func (e *exception) Error() string { return e.fault().Error() }

func (e *exception) fault() *fault.Error {
	meaning := exceptionMeanings[e.code]
	if meaning == "" {
		meaning = "unknown error"
	}
	kind := fault.InvalidWitness
	switch e.code {
	case 1, 2, 3, 6:
		kind = fault.InvalidInput
	case 5:
		kind = fault.Resource
	}
	text := strings.Join(strings.Fields(e.message.String()), " ")
	if text != "" {
		meaning += ": " + text
	}
	return fault.New(kind, "circom: %s", meaning)
}

// addImports gives the generator the functions it imports. Log output is dropped.
func addImports(ctx context.Context, runtime wazero.Runtime, module wazero.CompiledModule) error {
	host := runtime.NewHostModuleBuilder("runtime")
	for _, imported := range module.ImportedFunctions() {
		from, name, _ := imported.Import()
		if from != "runtime" {
			return fault.New(fault.Unsupported, "the module imports %s.%s: not a witness generator of circom 2", from, name)
		}
		action := importedFunction(name)
		if action == nil {
			return fault.New(fault.Unsupported, "the module imports the unknown function runtime.%s", name)
		}
		host = host.NewFunctionBuilder().WithGoModuleFunction(action, imported.ParamTypes(), imported.ResultTypes()).Export(name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return fault.New(fault.Internal, "host functions: %v", err)
	}
	return nil
}

func importedFunction(name string) api.GoModuleFunc {
	switch name {
	case "exceptionHandler":
		return func(ctx context.Context, _ api.Module, stack []uint64) {
			raised, ok := ctx.Value(exceptionKey{}).(*exception)
			if !ok {
				raised = &exception{}
			}
			raised.code = int32(stack[0])
			panic(raised)
		}
	case "printErrorMessage":
		return func(ctx context.Context, module api.Module, _ []uint64) {
			text := message(ctx, module)
			if raised, ok := ctx.Value(exceptionKey{}).(*exception); ok && raised.message.Len() < maxMessage {
				raised.message.WriteString(text)
				raised.message.WriteByte('\n')
			}
		}
	case "writeBufferMessage":
		return func(ctx context.Context, module api.Module, _ []uint64) { message(ctx, module) }
	case "showSharedRWMemory", "printDebug":
		return func(context.Context, api.Module, []uint64) {}
	}
	return nil
}

// message reads the generator's pending text to its end and keeps at most maxMessage bytes of it.
func message(ctx context.Context, module api.Module) string {
	var text strings.Builder
	next := module.ExportedFunction("getMessageChar")
	for ctx.Err() == nil {
		result, err := next.Call(ctx)
		if err != nil || len(result) == 0 || result[0] == 0 {
			break
		}
		if text.Len() < maxMessage {
			text.WriteByte(byte(result[0]))
		}
	}
	return text.String()
}
