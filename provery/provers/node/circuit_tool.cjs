// One-shot questions about circuit files, answered by snarkjs as one line of JSON on standard output.
//   circuit_tool.cjs MODULES witness-size WASM
//   circuit_tool.cjs MODULES verify-setup R1CS PTAU ZKEY [skip-ptau]
"use strict";

const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");

console.log = console.info = console.warn = console.debug = console.error;

const [modules, question, ...files] = process.argv.slice(2);
const fromModules = createRequire(path.join(path.resolve(modules), "snarkjs", "package.json"));
const snarkjs = fromModules("snarkjs");

const questions = {
  async "witness-size"(wasm) {
    const { WitnessCalculatorBuilder } = fromModules("circom_runtime");
    const calculator = await WitnessCalculatorBuilder(fs.readFileSync(wasm));
    return { size: calculator.witnessSize };
  },

  async "verify-setup"(r1cs, ptau, zkey, skip) {
    const said = [];
    const keep = (level) => (text) => said.push(`${level}: ${text}`);
    const logger = { debug() {}, info: keep("info"), warn: keep("warn"), error: keep("error") };
    let ok = false;
    try {
      // Checking a key against a transcript says nothing unless the transcript itself is sound.
      ok = skip === "skip-ptau" || (await snarkjs.powersOfTau.verify(ptau, logger)) === true;
      said.length = 0;
      ok = ok && (await snarkjs.zKey.verifyFromR1cs(r1cs, ptau, zkey, logger));
    } catch (error) {
      said.push(`error: ${error.message}`);
    }
    return { ok: ok === true, said };
  },
};

questions[question](...files).then(
  (answer) => {
    process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
  },
  (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  },
);
