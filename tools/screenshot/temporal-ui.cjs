// Pictures of one unit in the Temporal UI, for docs/images: its details (what it is, its stages, its artifacts) and its
// timeline (event groups with their summaries). `make screenshots UNIT=queue/prove/KEY` runs it in the packaged browser.
//
//   node temporal-ui.cjs --unit queue/prove/KEY [--ui http://127.0.0.1:8233] [--namespace default] [--out DIR]
//                        [--name temporal-ui]     what the pictures' names begin with

const { join } = require("node:path");
const { parseArgs } = require("node:util");
const { launch } = require("../browser/launch.cjs");

const { values: options } = parseArgs({
  options: {
    unit: { type: "string" },
    ui: { type: "string", default: "http://127.0.0.1:8233" },
    namespace: { type: "string", default: "default" },
    out: { type: "string", default: "docs/images" },
    name: { type: "string", default: "temporal-ui" },
  },
});
if (!options.unit) {
  console.error("--unit is missing: which unit, as `provery list` names it");
  process.exit(2);
}

/** The newest run of the unit's workflow. */
async function run(workflow) {
  const query = encodeURIComponent(`WorkflowId = '${workflow}'`);
  const answer = await fetch(`${options.ui}/api/v1/namespaces/${options.namespace}/workflows?query=${query}`);
  const { executions = [] } = await answer.json();
  if (!executions.length) throw new Error(`Temporal knows no workflow ${workflow}`);
  return executions[0].execution.runId;
}

/** One picture: the page from `first` (its top without) to the end of what `last` matches, without the empty rest. */
async function picture(page, url, file, { ready, first, last, below = 16 }) {
  await page.goto(url, { waitUntil: "networkidle" });
  await page.getByText(ready, { exact: true }).first().waitFor();
  await page.waitForTimeout(1500); // the UI draws markdown and timelines after its data has come
  const ends = await page.locator(last).evaluateAll((found) => found.map((each) => each.getBoundingClientRect().bottom));
  const { width, height } = page.viewportSize();
  const begin = first ? await first(page).boundingBox() : { x: 0, y: 16 };
  const bottom = Math.min(height, Math.ceil(Math.max(0, ...ends)) + below);
  const clip = { x: Math.max(0, begin.x - 16), y: Math.max(0, begin.y - 16), width: width - Math.max(0, begin.x - 16),
    height: bottom - Math.max(0, begin.y - 16) };
  await page.screenshot({ path: join(options.out, file), clip });
  console.log(join(options.out, file));
}

(async () => {
  const workflow = `prove/${options.unit}`;
  const page_of = `${options.ui}/namespaces/${options.namespace}/workflows/${encodeURIComponent(workflow)}/${await run(workflow)}`;
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1500, height: 1300 } });
    await picture(page, `${page_of}/user-metadata`, `${options.name}-unit.png`, { ready: "Current Details", last: "iframe" });
    await picture(page, `${page_of}/timeline`, `${options.name}-timeline.png`, {
      ready: "Show idle time", first: (p) => p.getByRole("heading", { name: "Timeline" }).first(), last: "svg.text-secondary", below: 60 });
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
