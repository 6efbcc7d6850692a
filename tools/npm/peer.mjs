// The other side of a BullMQ queue, as npm's client: JSON commands on stdin, one JSON answer per line on stdout.
//
//   node peer.mjs redis://127.0.0.1:6379 prove
//   {"op":"add","data":{"jobId":"a","request":{…}}}          → {"id":"1"}
//   {"op":"addMany","jobs":[{"data":…,"opts":…}]}             → {"ids":["2",…]}
//   {"op":"worker","concurrency":2,"delay":5,"fail":"bad"}    → {"ok":true}; fails jobs whose jobId contains "bad"
//   {"op":"worked"}                                           → {"jobs":["a",…]}, the job ids that this worker ended
import { FlowProducer, Queue, Worker } from 'bullmq';
import { createInterface } from 'node:readline';

const [url, name] = process.argv.slice(2);
const { hostname, port, username, password, pathname } = new URL(url);
const connection = { host: hostname, port: Number(port || 6379), username, password, db: Number(pathname.slice(1) || 0) };
const queue = new Queue(name, { connection });
const upstream = { removeOnComplete: true, removeOnFail: false };
const worked = [];
let worker;

const operations = {
  add: async ({ data, opts, as = 'prove' }) => ({ id: (await queue.add(as, data, opts ?? upstream)).id }),
  addMany: async ({ jobs }) => ({
    ids: (await queue.addBulk(jobs.map(({ data, opts }) => ({ name: 'prove', data, opts: opts ?? upstream })))).map((j) => j.id),
  }),
  job: async ({ id }) => {
    const job = await queue.getJob(id);
    return { job: job?.asJSON(), state: await job?.getState(), attemptsMade: job?.attemptsMade };
  },
  counts: async () => queue.getJobCounts(),
  pause: async () => queue.pause(),
  resume: async () => queue.resume(),
  retry: async ({ id }) => (await queue.getJob(id)).retry(),
  remove: async ({ id }) => ({ removed: await queue.remove(id) }),
  limit: async ({ max, duration }) => queue.setGlobalRateLimit(max, duration),
  concurrency: async ({ max }) => queue.setGlobalConcurrency(max),
  flow: async ({ parent, children }) => {
    const flow = new FlowProducer({ connection });
    const tree = await flow.add({ ...parent, queueName: name, children: children.map((c) => ({ ...c, queueName: name })) });
    await flow.close();
    return { id: tree.job.id, children: tree.children.map((c) => c.job.id) };
  },
  worker: async ({ concurrency = 2, delay = 1, fail = '', ...opts }) => {
    const work = async (job) => {
      await new Promise((done) => setTimeout(done, delay));
      worked.push(job.data.jobId);
      if (fail && job.data.jobId.includes(fail)) throw new Error('boom');
      return { ok: true };
    };
    worker = new Worker(name, work, { connection, concurrency, ...opts });
    worker.on('error', () => {});
    await worker.waitUntilReady();
  },
  worked: async () => ({ jobs: worked }),
  stop: async () => worker?.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...given } = JSON.parse(line);
  try {
    const answer = await operations[op](given);
    console.log(JSON.stringify(Object(answer) === answer ? answer : { ok: true }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
await worker?.close();
await queue.close();
