// A producer as an application would write it: npm bullmq and circomlibjs, membership jobs with real Merkle paths.
//
//   REDIS_URL=redis://… NODE_PATH=tools/npm/node_modules node produce.cjs COUNT [QUEUE] [PREFIX]
//
// Sixteen members form the tree of depth 4. Prints one job id per line; with QUEUE "-" prints the requests as JSON
// lines instead of adding them.
const { randomUUID } = require("crypto");
const { buildPoseidon } = require("circomlibjs");

async function main() {
  const count = Number(process.argv[2] || 24);
  const name = process.argv[3] || "prove";
  const prefix = process.argv[4] || "";
  const poseidon = await buildPoseidon();
  const hash = (a, b) => poseidon.F.toObject(poseidon([a, b]));
  const members = [...Array(16)].map((_, i) => ({ user: BigInt(1000 + i), nonce: BigInt(7777 + 13 * i) }));
  const levels = [members.map((m) => hash(m.user, m.nonce))];
  while (levels.at(-1).length > 1) {
    const below = levels.at(-1);
    levels.push([...Array(below.length / 2)].map((_, i) => hash(below[2 * i], below[2 * i + 1])));
  }
  const request = (n) => {
    const at = n % members.length;
    return {
      root: levels[4][0].toString(),
      user: members[at].user.toString(),
      epoch: 1 + Math.floor(n / members.length),
      leaf: levels[0][at].toString(),
      nonce: members[at].nonce.toString(),
      pathElements: [0, 1, 2, 3].map((level) => levels[level][(at >> level) ^ 1].toString()),
      pathIndices: [0, 1, 2, 3].map((level) => (at >> level) & 1),
    };
  };
  if (name === "-") {
    for (let n = 0; n < count; n++) console.log(JSON.stringify(request(n)));
    return;
  }
  const { Queue } = require("bullmq");
  const url = new URL(process.env.REDIS_URL || "redis://127.0.0.1:6379");
  const connection = {
    host: url.hostname,
    port: Number(url.port || 6379),
    username: url.username || undefined,
    password: url.password ? decodeURIComponent(url.password) : undefined,
  };
  const queue = new Queue(name, { connection });
  for (let n = 0; n < count; n++) {
    const jobId = prefix ? `${prefix}-${n}` : randomUUID();
    await queue.add("prove", { jobId, request: request(n) }, { removeOnComplete: true, removeOnFail: false });
    console.log(jobId);
  }
  await queue.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error.message);
  process.exit(1);
});
