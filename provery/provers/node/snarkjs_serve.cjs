// Resident snarkjs: JSON lines on stdin and stdout, the protocol of the native prover (docs/provers.md).
// Curve, compiled witness calculators and proving keys stay in memory between requests. snarkjs is only called,
// through its published functions; it is found in the node_modules folder named by the first argument.
"use strict";

const { createHash } = require("node:crypto");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");
const readline = require("node:readline");

// snarkjs and circuits' log() print; standard output belongs to the protocol.
console.log = console.info = console.warn = console.debug = console.error;

const modules = path.resolve(process.argv[2] ?? "node_modules");
const fromModules = createRequire(path.join(modules, "snarkjs", "package.json"));
const snarkjs = fromModules("snarkjs");
const { WitnessCalculatorBuilder } = fromModules("circom_runtime");

const KEPT = 4; // circuits kept in memory; a fifth pushes out the oldest
const FIELD_BYTES = 32;

class Refusal extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

class Kept {
  #entries = new Map();

  async get(name, make) {
    if (!this.#entries.has(name)) {
      const made = await make();
      if (this.#entries.size >= KEPT) this.#entries.delete(this.#entries.keys().next().value);
      this.#entries.set(name, made);
    }
    return this.#entries.get(name);
  }

  drop(name) {
    this.#entries.delete(name);
  }
}

const calculators = new Kept();
const keys = new Kept();
let curve;

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function read(file, expected, what) {
  let bytes;
  try {
    bytes = fs.readFileSync(file);
  } catch (error) {
    throw new Refusal("io", `cannot read ${what}: ${error.message}`);
  }
  if (expected && sha256(bytes) !== expected) {
    throw new Refusal("corrupt_artifact", `${what} ${path.basename(file)} does not have its digest ${expected}`);
  }
  return bytes;
}

// A reader must never see half a file.
function write(file, data) {
  const partial = `${file}.${process.pid}.part`;
  try {
    fs.writeFileSync(partial, data);
    fs.renameSync(partial, file);
  } catch (error) {
    throw new Refusal("io", `cannot write ${path.basename(file)}: ${error.message}`);
  }
  return { path: file, bytes: Buffer.byteLength(data), sha256: sha256(data) };
}

// Key of what is kept: the digest, or without one what tells a replaced file from the one that was read.
function identity(file, digest) {
  if (digest) return digest;
  try {
    const { size, mtimeMs } = fs.statSync(file);
    return `${file}:${size}:${mtimeMs}`;
  } catch (error) {
    throw new Refusal("io", error.message);
  }
}

// Section table of an iden3 container: snarkjs reads past the end of a truncated file without noticing.
function sections(bytes, magic, kind, what) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bad = (why) => new Refusal(kind, `${what} is damaged: ${why}`);
  if (bytes.length < 12 || bytes.toString("latin1", 0, 4) !== magic) throw bad(`it does not start with "${magic}"`);
  const found = new Map();
  let at = 12;
  for (let left = view.getUint32(8, true); left > 0; left--) {
    if (at + 12 > bytes.length) throw bad("it ends within its section table");
    const size = Number(view.getBigUint64(at + 4, true));
    if (size > bytes.length - at - 12) throw bad("it ends within a section");
    found.set(view.getUint32(at, true), { at: at + 12, size });
    at += 12 + size;
  }
  return found;
}

async function loadKey(file, digest) {
  return keys.get(identity(file, digest), async () => {
    const bytes = read(file, digest, "the proving key");
    sections(bytes, "zkey", "invalid_key", "the proving key");
    try {
      const vkey = await snarkjs.zKey.exportVerificationKey(new Uint8Array(bytes));
      if (vkey.protocol !== "groth16" || vkey.curve !== "bn128") throw new Error("not a Groth16 key over BN254");
      return { bytes: new Uint8Array(bytes), vkey };
    } catch (error) {
      throw new Refusal("invalid_key", `the proving key cannot be used: ${error.message}`);
    }
  });
}

// Numbers as circom takes them. snarkjs would silently reduce one that is not below the field's modulus.
function checkInputs(value, name, depth = 0) {
  if (depth > 64) throw new Refusal("invalid_input", `input ${name} is nested too deeply`);
  if (Array.isArray(value)) return value.map((item, i) => checkInputs(item, `${name}[${i}]`, depth + 1));
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Refusal("invalid_input", `input ${name} is not an exact integer; write it as a string`);
  }
  if (typeof value !== "number" && !(typeof value === "string" && /^(0|[1-9][0-9]{0,77}|0x[0-9a-fA-F]{1,64})$/.test(value))) {
    throw new Refusal("invalid_input", `input ${name} is not a number, a decimal string or an array of these`);
  }
  const number = BigInt(value);
  if (number < 0n || number >= curve.r) {
    throw new Refusal("invalid_input", `input ${name} is not in the field: expected 0 to ${curve.r} - 1`);
  }
  return number;
}

function inputsOf(item) {
  let inputs = item.input;
  if (item.input_path) {
    try {
      inputs = JSON.parse(read(item.input_path, undefined, "the inputs"));
    } catch (error) {
      throw error instanceof Refusal ? error : new Refusal("invalid_input", `the inputs are not JSON: ${error.message}`);
    }
  }
  if (inputs === null || typeof inputs !== "object" || Array.isArray(inputs)) {
    throw new Refusal("invalid_input", "the inputs are not an object");
  }
  return inputs;
}

async function witness(request, item) {
  const input = Object.fromEntries(Object.entries(inputsOf(item)).map(([k, v]) => [k, checkInputs(v, k)]));
  const name = identity(request.wasm, request.wasm_sha256);
  const calculator = await calculators.get(name, async () => {
    const code = read(request.wasm, request.wasm_sha256, "the witness program");
    try {
      return await WitnessCalculatorBuilder(code);
    } catch (error) {
      throw new Refusal("invalid_key", `the witness program cannot be used: ${error.message}`);
    }
  });
  let bytes;
  try {
    bytes = Buffer.from(await calculator.calculateWTNSBin(input));
  } catch (error) {
    calculators.drop(name); // a failed run leaves its messages and signals behind
    const kind = /Assert Failed/.test(error.message) ? "invalid_witness" : /memory/i.test(error.message) ? "resource" : "invalid_input";
    throw new Refusal(kind, error.message.trim());
  }
  return { wtns: write(item.out, bytes) };
}

async function prove(request, item) {
  const key = await loadKey(request.zkey, request.zkey_sha256);
  const bytes = read(item.wtns, item.wtns_sha256, "the witness");
  const table = sections(bytes, "wtns", "invalid_witness", "the witness");
  checkWitness(bytes, table);
  let made;
  try {
    made = await snarkjs.groth16.prove(key.bytes, new Uint8Array(bytes), undefined, { singleThread: false });
  } catch (error) {
    throw new Refusal(/witness/i.test(error.message) ? "invalid_witness" : "internal", error.message);
  }
  // snarkjs proves whatever it is given; only verification tells whether the witness satisfies the circuit.
  if (!(await snarkjs.groth16.verify(key.vkey, made.publicSignals, made.proof))) {
    throw new Refusal("invalid_witness", "the witness does not satisfy the circuit: its proof does not verify");
  }
  return {
    public: made.publicSignals,
    public_file: write(item.public, JSON.stringify(made.publicSignals)),
    proof: write(item.proof, JSON.stringify(made.proof)),
  };
}

function checkWitness(bytes, table) {
  const body = table.get(2);
  if (!table.get(1) || !body || body.size === 0 || body.size % FIELD_BYTES) throw new Refusal("invalid_witness", "the witness is damaged");
  // Without this a witness of zeros would satisfy every constraint that has no constant term.
  if (bytes[body.at] !== 1 || bytes.subarray(body.at + 1, body.at + FIELD_BYTES).some((byte) => byte !== 0)) {
    throw new Refusal("invalid_witness", "value 0 of the witness is not one");
  }
  for (let at = body.at; at < body.at + body.size; at += FIELD_BYTES) {
    if (bytes[at + FIELD_BYTES - 1] < 0x30) continue; // the modulus starts with 0x30: most values are settled by a byte
    let value = 0n;
    for (let i = FIELD_BYTES - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]);
    if (value >= curve.r) throw new Refusal("invalid_witness", "the witness holds a number that is not in the field");
  }
}

// A coordinate or public input in the one form that every verifier reads alike: decimal, canonical.
function canonical(value, below) {
  return typeof value === "string" && /^(0|[1-9][0-9]{0,77})$/.test(value) && BigInt(value) < below;
}

async function verify(request, item) {
  const vkey = JSON.parse(read(request.vkey, request.vkey_sha256, "the verifying key"));
  let proof, signals;
  try {
    proof = JSON.parse(read(item.proof, item.proof_sha256, "the proof"));
    signals = JSON.parse(read(item.public, item.public_sha256, "the public inputs"));
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("invalid_proof", `not JSON: ${error.message}`);
  }
  const point = (value, z) => Array.isArray(value) && value.length === 3 && value[2] === z && value.slice(0, 2).every((n) => canonical(n, curve.q));
  const pair = (value) => Array.isArray(value) && value.length === 2 && value.every((n) => canonical(n, curve.q));
  const g2 = (value) => Array.isArray(value) && value.length === 3 && value.slice(0, 2).every(pair) && String(value[2]) === "1,0";
  if (proof?.protocol !== "groth16" || proof.curve !== "bn128" || !point(proof.pi_a, "1") || !g2(proof.pi_b) || !point(proof.pi_c, "1")) {
    throw new Refusal("invalid_proof", "the proof is not Groth16 over bn128 with three affine points in decimal");
  }
  // snarkjs ignores missing signals, which would let a proof pass for a shorter statement.
  if (!Array.isArray(signals) || signals.length !== vkey.nPublic || !signals.every((n) => canonical(n, curve.r))) {
    throw new Refusal("invalid_proof", `the public inputs are not ${vkey.nPublic} decimal numbers in the field`);
  }
  if (!(await snarkjs.groth16.verify(vkey, signals, proof))) {
    throw new Refusal("invalid_proof", "the proof does not verify");
  }
  return { valid: true };
}

const operations = { witness, prove, verify };

async function answer(request) {
  const usage = process.cpuUsage();
  if (request.op === "ping") return {};
  if (request.op === "load") return void (await loadKey(request.zkey, request.zkey_sha256)) ?? {};
  const operation = operations[request.op];
  if (!operation || !Array.isArray(request.items)) throw new Refusal("unsupported", `no operation ${request.op}`);
  const items = [];
  for (const [index, item] of request.items.entries()) {
    const [cpu, wall] = [process.cpuUsage(), performance.now()];
    let result;
    try {
      result = { ok: true, ...(await operation(request, item)) };
    } catch (error) {
      result = { ok: false, error: described(error) };
    }
    items.push({ ...result, cpu_s: seconds(process.cpuUsage(cpu)), wall_s: (performance.now() - wall) / 1e3 });
    say({ id: request.id, progress: { step: request.op, done: index + 1, total: request.items.length } });
  }
  return { items, cpu_s: seconds(process.cpuUsage(usage)), peak_rss_bytes: process.resourceUsage().maxRSS * 1024 };
}

function seconds({ user, system }) {
  return (user + system) / 1e6;
}

function described(error) {
  return { kind: error.kind ?? "internal", message: String(error.message ?? error).slice(0, 4000) };
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function main() {
  curve = await snarkjs.curves.getCurveFromName("bn128");
  say({ ready: true, name: "snarkjs", version: fromModules("./package.json").version, node: process.version });
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    let request;
    try {
      request = JSON.parse(line);
      const start = Date.now();
      const result = await answer(request);
      const span = { traceparent: request.traceparent, start_unix_ns: start * 1e6, end_unix_ns: Date.now() * 1e6 };
      say({ id: request.id, ok: true, result, ...(request.traceparent ? { span } : {}) });
    } catch (error) {
      say({ id: request?.id ?? null, ok: false, error: described(error) });
    }
  }
  await curve.terminate(); // its worker threads would keep the process alive
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
