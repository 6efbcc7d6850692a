// Pictures of the page that proves inferences, for docs/images: before, during and after a proof. It asks a running system
// for a proof; `make screenshots PAGE=http://127.0.0.1:3001` runs it in the packaged browser.
//
//   node zkml-page.cjs --url http://127.0.0.1:3001 [--model spending-model] [--inputs '[0.05, …]'] [--tag spending]
//                      [--out docs/images] [--dark]
//
// The inputs are drawn unless they are given, and drawn for the picture of a proof being made in any case: one that was
// made before would be there at once.

const { join } = require("node:path");
const { parseArgs } = require("node:util");
const { launch } = require("../browser/launch.cjs");

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    model: { type: "string", default: "spending-model" },
    inputs: { type: "string" },
    tag: { type: "string", default: "" },
    out: { type: "string", default: "docs/images" },
    dark: { type: "boolean", default: false },
  },
});
if (!options.url) {
  console.error("--url is missing: where the page is");
  process.exit(2);
}

/**
 * Runs in the page: holds the end of a stream of events back until `showEnd` is called, so that a proof which is made in
 * the blink of an eye can be seen being made. What was told until then is shown as it came.
 */
function holdTheEnd() {
  const fetched = globalThis.fetch;
  const shown = new Promise((resolve) => { globalThis.showEnd = resolve; });
  globalThis.fetch = async (url, init) => {
    const response = await fetched(url, init);
    if (!String(url).endsWith("/events") || !response.ok) return response;
    const text = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({
      async transform(part, to) {
        const end = part.search(/^id: \d+\r?\nevent: end/m);
        if (end >= 0) {
          to.enqueue(part.slice(0, end));
          globalThis.held = true;
          await shown;
        }
        to.enqueue(part.slice(Math.max(0, end)));
      },
    }));
    return new Response(text.pipeThrough(new TextEncoderStream()), response);
  };
}

async function picture(page, name) {
  const path = join(options.out, `zkml-page-${name}.png`);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path, fullPage: true });
  console.log(path);
}

/** The page with a request in it. */
async function filled(browser, hold) {
  const page = await browser.newPage({
    viewport: { width: 900, height: 600 },
    colorScheme: options.dark ? "dark" : "light",
    reducedMotion: "reduce",
  });
  if (hold) await page.addInitScript(holdTheEnd);
  await page.goto(options.url);
  await page.locator("#inputs:enabled").waitFor();
  await page.getByLabel("Model").selectOption(options.model);
  await page.getByRole("button", { name: "Fill in an example" }).click();
  const fields = page.locator("#values input");
  const given = !hold && options.inputs ? JSON.parse(options.inputs) : null;
  for (let index = 0; index < await fields.count(); index += 1) {
    await fields.nth(index).fill(String(given ? given[index] : Math.random().toFixed(3)));
  }
  await page.getByLabel("Tag").fill(options.tag);
  return page;
}

(async () => {
  const browser = await launch();
  try {
    const page = await filled(browser, false);
    await picture(page, "idle");
    await page.getByRole("button", { name: "Prove" }).click();
    await page.locator("#result").waitFor({ timeout: 600_000 });
    await page.getByRole("button", { name: "Verify this proof" }).click();
    await page.locator("#verdict.good").waitFor();
    await picture(page, "finished");

    const other = await filled(browser, true);
    await other.getByRole("button", { name: "Prove" }).click();
    await other.waitForFunction(() => globalThis.held || !document.getElementById("result").hidden, null, { timeout: 600_000 });
    if (!await other.locator("#stages .running").count()) {
      throw new Error("the proof was there before a stage was told: no picture of it being made; try a larger --model");
    }
    await picture(other, "running");
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
