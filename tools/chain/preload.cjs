// Loaded before Lodestar: snappyjs takes the place of `snappy`, whose native part would have to be compiled. Only the
// wire between nodes needs it, and this chain has one node.

const Module = require("node:module");
const { join } = require("node:path");
const snappyjs = require(join(__dirname, "node_modules/snappyjs"));

const later = (work) => (data, ...rest) => {
  const done = rest.pop();
  try {
    done(null, work(data));
  } catch (error) {
    done(error);
  }
};
const snappy = {
  compress: later(snappyjs.compress),
  uncompress: later(snappyjs.uncompress),
  compressSync: snappyjs.compress,
  uncompressSync: snappyjs.uncompress,
};

const load = Module._load;
Module._load = (name, ...rest) => (name === "snappy" ? snappy : load(name, ...rest));
