package serve

import (
	"context"
	"encoding/json"

	"provery/prover/binfile"
	"provery/prover/fault"
	"provery/prover/groth16"
	"provery/prover/msm"
	"provery/prover/r1cs"
	"provery/prover/wtns"
)

// progress is told of a step and how much of it is done.
type progress func(step string, done, total int)

// WitnessItem asks for one witness: the inputs inline or in a file, and where to write it.
type WitnessItem struct {
	Input     json.RawMessage `json:"input,omitempty"`
	InputPath string          `json:"input_path,omitempty"`
	Out       string          `json:"out"`
}

// ProveItem asks for one proof of the witness at Wtns, written to Proof and Public.
type ProveItem struct {
	Wtns   string `json:"wtns"`
	Proof  string `json:"proof"`
	Public string `json:"public"`
	// R1CS, if given, is checked against the witness first, so that a violated constraint is named.
	R1CS string `json:"r1cs,omitempty"`
}

// VerifyItem asks whether the proof in one file is valid for the public inputs in another.
type VerifyItem struct {
	Proof  string `json:"proof"`
	Public string `json:"public"`
}

// Outcome is the result of one item; which fields are set depends on the operation and on OK.
type Outcome struct {
	OK     bool             `json:"ok"`
	Wtns   *binfile.Written `json:"wtns,omitempty"`
	Proof  *binfile.Written `json:"proof,omitempty"`
	Inputs *binfile.Written `json:"public_file,omitempty"`
	Public []string         `json:"public,omitempty"`
	Valid  *bool            `json:"valid,omitempty"`
	Reason string           `json:"reason,omitempty"`
	CPU    float64          `json:"cpu_s"`
	Wall   float64          `json:"wall_s"`
	Error  *fault.Error     `json:"error,omitempty"`
}

// Witness computes witnesses with one generator. The error is for the generator; items fail on their own.
func (e *Engine) Witness(ctx context.Context, wasm, digest string, items []WitnessItem, report progress) ([]Outcome, error) {
	calculator, err := e.calculator(ctx, wasm, digest)
	if err != nil {
		return nil, err
	}
	return e.run(ctx, len(items), e.options.Threads, report, func(i int, out *Outcome) error {
		inputs := []byte(items[i].Input)
		if (len(inputs) == 0) == (items[i].InputPath == "") {
			return fault.New(fault.InvalidInput, "item %d needs either input or input_path", i)
		}
		if len(inputs) == 0 {
			var err error
			if inputs, _, err = readFile(items[i].InputPath, maxFileBytes); err != nil {
				return err
			}
		}
		witness, err := calculator.Witness(ctx, inputs)
		if err != nil {
			return err
		}
		written, err := binfile.WriteAtomic(items[i].Out, wtns.Encode(witness)...)
		out.Wtns = &written
		return err
	}), nil
}

// Prove makes proofs with one key, verifies them together and writes those that hold. The error is for the key; items
// fail on their own.
func (e *Engine) Prove(ctx context.Context, zkey, digest string, items []ProveItem, report progress) ([]Outcome, error) {
	r, err := e.provingKey(zkey, digest)
	if err != nil {
		return nil, err
	}
	entry := r.value
	workers, threads := 1, e.options.Threads
	if len(items) > 1 && entry.pk.NVars <= acrossItems {
		workers, threads = e.options.Threads, 1
	}
	var step func(groth16.Step)
	if len(items) == 1 {
		step = func(s groth16.Step) { report(s.Name, s.Done, s.Total) }
		report = func(string, int, int) {}
	}
	proofs, publics := make([]*groth16.Proof, len(items)), make([][]msm.Scalar, len(items))
	outcomes := e.run(ctx, len(items), workers, report, func(i int, out *Outcome) error {
		data, _, err := readFile(items[i].Wtns, maxFileBytes)
		if err != nil {
			return err
		}
		witness, err := wtns.Parse(data)
		if err != nil {
			return err
		}
		if items[i].R1CS != "" {
			if err := checkConstraints(items[i].R1CS, witness); err != nil {
				return err
			}
		}
		proofs[i], err = entry.pk.Prove(ctx, witness, threads, step)
		if err != nil {
			return err
		}
		// a copy, so that the witness need not stay in memory until all items are through
		publics[i] = append([]msm.Scalar(nil), witness[1:len(entry.pk.Verifying.IC)]...)
		return nil
	})
	e.widenLater(entry, int64(len(items)))
	valid, err := e.check(ctx, &entry.pk.Verifying, proofs, publics)
	if err != nil {
		return nil, err
	}
	eachItem(outcomes, workers, func(i int) error {
		switch {
		case proofs[i] == nil:
			return nil
		case !valid[i]:
			return fault.New(fault.InvalidWitness, "the witness does not satisfy the circuit's constraints: a proof made from it does not verify")
		}
		return outcomes[i].write(items[i], proofs[i], publics[i])
	})
	return outcomes, nil
}

// write writes a proof's two files.
func (out *Outcome) write(item ProveItem, proof *groth16.Proof, public []msm.Scalar) error {
	out.Public = groth16.PublicStrings(public)
	inputs, err := binfile.WriteAtomic(item.Public, groth16.EncodePublic(public))
	if err != nil {
		return err
	}
	written, err := binfile.WriteAtomic(item.Proof, groth16.EncodeProof(proof))
	out.Inputs, out.Proof = &inputs, &written
	return err
}

func checkConstraints(path string, witness []msm.Scalar) error {
	data, _, err := readFile(path, maxFileBytes)
	if err != nil {
		return err
	}
	system, err := r1cs.Parse(data)
	if err != nil {
		return err
	}
	return system.Check(witness)
}

// Verify checks proofs under one verifying key: several at once in one combined check, and one by one if that
// fails, to name the bad ones. A malformed proof or public input counts as not valid, with the reason.
func (e *Engine) Verify(ctx context.Context, vkey, digest string, items []VerifyItem, report progress) ([]Outcome, error) {
	vk, err := e.verifyingKey(vkey, digest)
	if err != nil {
		return nil, err
	}
	proofs, publics := make([]*groth16.Proof, len(items)), make([][]msm.Scalar, len(items))
	outcomes := e.run(ctx, len(items), e.options.Threads, report, func(i int, out *Outcome) error {
		proof, public, err := readProof(items[i], vk)
		if err == nil {
			proofs[i], publics[i] = proof, public
			return nil
		}
		if known := fault.Of(err); known.Kind == fault.InvalidInput {
			out.Valid, out.Reason = new(bool), known.Message
			return nil
		}
		return err
	})
	valid, err := e.check(ctx, vk, proofs, publics)
	if err != nil {
		return nil, err
	}
	for i := range items {
		if proofs[i] == nil {
			continue
		}
		outcomes[i].Valid = &valid[i]
		if !valid[i] {
			outcomes[i].Reason = "the pairing equation does not hold"
		}
	}
	return outcomes, nil
}

func readProof(item VerifyItem, vk *groth16.VerifyingKey) (*groth16.Proof, []msm.Scalar, error) {
	data, _, err := readFile(item.Proof, 1<<20)
	if err != nil {
		return nil, nil, err
	}
	proof, err := groth16.DecodeProof(data)
	if err != nil {
		return nil, nil, err
	}
	if data, _, err = readFile(item.Public, 1<<28); err != nil {
		return nil, nil, err
	}
	public, err := groth16.DecodePublic(data)
	if err != nil {
		return nil, nil, err
	}
	if len(public)+1 != len(vk.IC) {
		return nil, nil, fault.New(fault.InvalidInput, "%d public inputs given, the key takes %d", len(public), len(vk.IC)-1)
	}
	return proof, public, nil
}

// check reports which proofs are valid: all by one combined check, or one by one if that fails. Places without a
// proof are left out.
func (e *Engine) check(ctx context.Context, vk *groth16.VerifyingKey, proofs []*groth16.Proof, publics [][]msm.Scalar) ([]bool, error) {
	valid := make([]bool, len(proofs))
	var open []int
	var batch []*groth16.Proof
	var inputs [][]msm.Scalar
	for i, proof := range proofs {
		if proof != nil {
			open, batch, inputs = append(open, i), append(batch, proof), append(inputs, publics[i])
		}
	}
	all := false
	if len(open) > 1 {
		var err error
		if all, err = vk.VerifyBatch(batch, inputs); err != nil {
			return nil, err
		}
	}
	for k, i := range open {
		if valid[i] = all; all {
			continue
		}
		if ctx.Err() != nil {
			return nil, fault.New(fault.Cancelled, "cancelled while verifying")
		}
		var err error
		if valid[i], err = vk.Verify(batch[k], inputs[k]); err != nil {
			return nil, err
		}
	}
	return valid, nil
}

// run does items with up to workers at a time and collects their outcomes.
func (e *Engine) run(ctx context.Context, count, workers int, report progress, work func(i int, out *Outcome) error) []Outcome {
	outcomes := make([]Outcome, count)
	finished := make(chan struct{}, count)
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		for done := 1; done <= count; done++ {
			<-finished
			report("items", done, count)
		}
	}()
	eachItem(outcomes, workers, func(i int) error {
		defer func() { finished <- struct{}{} }()
		if ctx.Err() != nil {
			return fault.New(fault.Cancelled, "cancelled before it was started")
		}
		m := startMeter(workers > 1 && count > 1)
		defer func() { outcomes[i].CPU, outcomes[i].Wall = m.stop() }()
		if err := work(i, &outcomes[i]); err != nil {
			return err
		}
		outcomes[i].OK = true
		return nil
	})
	<-reported
	return outcomes
}
