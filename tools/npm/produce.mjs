// A plain BullMQ producer: real membership requests into a queue, the way any Node service would add them.
//
//   node tools/npm/produce.mjs --redis redis://127.0.0.1:6380 --queue prove --jobs 24 [--seed 1] [--prefix demo-]
//
// Sixteen members form a depth-4 Poseidon tree; each job proves that one of them is in it. Prints one JSON line per
// job, {"jobId": …}, once it is in Redis. The same seed gives the same requests; job ids are random unless --prefix
// is given.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { Queue } from "bullmq";
import { buildPoseidonOpt } from "circomlibjs";
import { Redis } from "ioredis";

const DEPTH = 4;
const AT_ONCE = 100;

const { values: options } = parseArgs({
  options: {
    redis: { type: "string", default: process.env.REDIS_URL ?? "redis://127.0.0.1:6380" },
    queue: { type: "string", default: process.env.QUEUE_NAME ?? "prove" },
    jobs: { type: "string", default: "24" },
    seed: { type: "string", default: "1" },
    prefix: { type: "string", default: "" },
    dry: { type: "boolean", default: false }, // print the job contents instead of adding them
  },
});
const count = Number(options.jobs);
if (!Number.isInteger(count) || count < 1 || count > 1_000_000) {
  console.error(`--jobs: got ${options.jobs}; expected 1 to 1000000`);
  process.exit(2);
}

const poseidon = await buildPoseidonOpt();
const hash = (left, right) => poseidon.F.toObject(poseidon([left, right]));

function group(number) {
  // Members of group `number`: user and nonce follow from seed, group and place.
  const base = BigInt(options.seed) * 1_000_003n + BigInt(number) * 997n;
  const members = Array.from({ length: 2 ** DEPTH }, (_, place) => {
    const user = hash(base, BigInt(place));
    const nonce = hash(user, base);
    return { user, nonce, leaf: hash(user, nonce) };
  });
  const levels = [members.map((member) => member.leaf)];
  while (levels.at(-1).length > 1) {
    const below = levels.at(-1);
    levels.push(below.filter((_, i) => i % 2 === 0).map((left, i) => hash(left, below[2 * i + 1])));
  }
  return { members, levels };
}

function request({ members, levels }, place, epoch) {
  const { user, nonce, leaf } = members[place];
  const pathElements = [];
  const pathIndices = [];
  for (let level = 0, at = place; level < DEPTH; level++, at >>= 1) {
    pathElements.push(levels[level][at ^ 1].toString());
    pathIndices.push((at & 1).toString());
  }
  const root = levels[DEPTH][0].toString();
  return {
    root,
    user: user.toString(),
    epoch: epoch.toString(),
    leaf: leaf.toString(),
    nonce: nonce.toString(),
    pathElements,
    pathIndices,
  };
}

function* contents() {
  let current;
  for (let i = 0; i < count; i++) {
    const place = i % 2 ** DEPTH;
    if (place === 0) current = group(i / 2 ** DEPTH);
    yield {
      jobId: options.prefix ? `${options.prefix}${i}` : randomUUID(),
      request: request(current, place, i),
    };
  }
}

if (options.dry) {
  for (const data of contents()) console.log(JSON.stringify(data));
} else {
  // A server that is away for two seconds is away: bullmq itself would wait for ever.
  const connection = new Redis(options.redis, {
    lazyConnect: true,
    maxRetriesPerRequest: 3,
    retryStrategy: (times) => (times > 10 ? null : 200),
  });
  let reason = "no answer";
  connection.on("error", (error) => (reason = error.message || error.code));
  await connection.connect().catch(() => {
    console.error(`Redis at ${options.redis}: ${reason}`);
    process.exit(1);
  });
  const queue = new Queue(options.queue, { connection });
  const send = (batch) =>
    Promise.all(
      batch.map(async (data) => {
        await queue.add("prove", data, { removeOnComplete: true, removeOnFail: false });
        console.log(JSON.stringify({ jobId: data.jobId }));
      }),
    );
  let batch = [];
  for (const data of contents()) {
    batch.push(data);
    if (batch.length === AT_ONCE) {
      await send(batch);
      batch = [];
    }
  }
  await send(batch);
  await queue.close();
  connection.disconnect();
}
