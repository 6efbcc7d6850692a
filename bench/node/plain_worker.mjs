// The hand-made loop that Provery is measured against: npm bullmq takes jobs, snarkjs proves and verifies, SQLite keeps
// the result. Everything stays in one warm process, the curve and the files in memory.
//
//   REDIS_URL=… NODE_PATH=… node plain_worker.mjs QUEUE CONCURRENCY WASM ZKEY VKEY DATABASE
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

const require = createRequire(process.env.NODE_MODULES_BASE + "/");
const { Worker } = require("bullmq");
const snarkjs = require("snarkjs");

const [queue, concurrency, wasmPath, zkeyPath, vkeyPath, database] = process.argv.slice(2);
const wasm = { type: "mem", data: new Uint8Array(readFileSync(wasmPath)) };
const zkey = { type: "mem", data: new Uint8Array(readFileSync(zkeyPath)) };
const vkey = JSON.parse(readFileSync(vkeyPath, "utf8"));
const db = new DatabaseSync(database);
db.exec("pragma journal_mode=wal; pragma synchronous=normal");
db.exec(`create table if not exists zkp_jobs(id text primary key, status text not null, request text not null,
  public_inputs text, proof text, error text, created_at text default current_timestamp,
  updated_at text default current_timestamp)`);
const running = db.prepare("insert into zkp_jobs(id, status, request) values (?, 'running', ?) on conflict(id) do update set status='running'");
const done = db.prepare("update zkp_jobs set status='done', public_inputs=?, proof=?, updated_at=current_timestamp where id=?");

const url = new URL(process.env.REDIS_URL);
const worker = new Worker(
  queue,
  async (job) => {
    const { jobId, request } = job.data;
    running.run(jobId, JSON.stringify(request));
    const { proof, publicSignals } = await snarkjs.groth16.fullProve(request, wasm, zkey);
    if (!(await snarkjs.groth16.verify(vkey, publicSignals, proof))) throw new Error("proof rejected");
    const { root, user, epoch } = request;
    done.run(JSON.stringify({ root, user, epoch }), JSON.stringify(proof), jobId);
    return { ok: true };
  },
  { connection: { host: url.hostname, port: Number(url.port) }, concurrency: Number(concurrency) },
);
worker.on("error", (error) => console.error(error.message));
worker.on("ready", () => console.log("ready"));
process.on("SIGTERM", async () => {
  await worker.close();
  process.exit(0);
});
