// A proof: what it says, as a file, and checked by the server on demand.

const at = (id) => document.getElementById(id);
/** Outputs shown; the file has all of them. */
const SHOWN = 16;

function numbers(values) {
  const rest = values.length - SHOWN;
  return values.slice(0, SHOWN).join(", ") + (rest > 0 ? ` … and ${rest} more` : "");
}

/** What is shown of a proof: `[name, value, whether a digest]`. */
function facts({ proof, inference, generation_time_ms }) {
  const { metadata } = proof;
  return [
    ["Decision", inference.decision],
    ["Confidence", inference.confidence],
    ["Output", inference.output],
    ["Raw output", numbers(inference.raw_output)],
    ["Model hash", metadata.model_hash, true],
    ["Input hash", metadata.input_hash, true],
    ["Output hash", metadata.output_hash, true],
    ["Proof hash", proof.proof_hash, true],
    ["Proof size", `${metadata.proof_size} bytes`],
    ["Made in", `${metadata.generation_time ?? generation_time_ms} ms`],
    ["Prover", [metadata.prover, metadata.scheme, metadata.prover_version].filter(Boolean).join(" ")],
    ["Tag", proof.tag],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
}

export class Result {
  #api;
  #whole = null;
  #url = "";

  constructor(api) {
    this.#api = api;
    at("verify").addEventListener("click", () => this.#verify());
  }

  hide() {
    at("result").hidden = true;
    this.#verdict("", "");
    URL.revokeObjectURL(this.#url);
    this.#whole = null;
  }

  show(whole) {
    this.hide();
    this.#whole = whole;
    at("facts").replaceChildren(...facts(whole).flatMap(([name, value, digest]) => {
      const term = Object.assign(document.createElement("dt"), { textContent: name });
      const text = Object.assign(document.createElement("dd"), { textContent: String(value) });
      if (digest) text.className = "digest";
      return [term, text];
    }));
    this.#url = URL.createObjectURL(new Blob([`${JSON.stringify(whole, null, 2)}\n`], { type: "application/json" }));
    at("download").href = this.#url;
    at("download").download = `proof-${whole.proof.proof_hash.slice(2, 14)}.json`;
    at("result").hidden = false;
  }

  async #verify() {
    const whole = this.#whole;
    if (at("verify").ariaDisabled === "true") return;
    at("verify").ariaDisabled = "true";
    this.#verdict("", "Checking…");
    try {
      const answer = await this.#api.verify({
        proof: whole.proof.proof,
        model_hash: whole.proof.metadata.model_hash,
        input_hash: whole.proof.metadata.input_hash,
        expected_output: whole.inference.raw_output,
        program_io: whole.proof.program_io, // the proof's public values, where there are any beside
      });
      if (whole !== this.#whole) return;
      if (answer.valid === true) this.#verdict("good", `✓ The proof is valid (checked in ${answer.verification_time_ms} ms).`);
      else this.#verdict("bad", `✗ The proof is not valid${answer.error ? `: ${answer.error}` : ""}.`);
    } catch (error) {
      if (whole === this.#whole) this.#verdict("bad", `It could not be checked: ${error.message}`);
    } finally {
      at("verify").ariaDisabled = "false";
    }
  }

  #verdict(kind, text) {
    at("verdict").className = kind;
    at("verdict").textContent = text;
  }
}
