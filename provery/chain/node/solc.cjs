#!/usr/bin/env node
// The npm compiler behind the command line of the native one, as far as Provery and forge use it: `--version`, and
// `--standard-json` from standard input to standard output. solc's own `solcjs` loses what a pipe does not take at
// once, and says other things on standard output.
"use strict";

const { readFileSync, writeSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join, resolve } = require("node:path");

const modules = resolve(process.env.PROVERY_EVM_MODULES || join(__dirname, "../../../tools/evm/node_modules"));
const solc = createRequire(join(modules, "solc", "package.json"))("solc");

function write(text) {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // the reader is slower: wait 5 ms
    }
  }
}

if (process.argv.includes("--version")) {
  write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (process.argv.includes("--standard-json")) {
  write(solc.compile(readFileSync(0, "utf8")));
} else {
  process.stderr.write("solc.cjs: expected --version, or --standard-json with input on standard input\n");
  process.exitCode = 64;
}
