// Plays one case against a server, in the packaged browser: `node play.mjs CASE URL KEY`. It fails where the case fails, and
// where the page says something in the console, throws, or asks another host.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const TOOLS = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "tools", "browser");
const require = createRequire(join(TOOLS, "package.json"));
const { launch } = require("./launch.cjs");

const [, , file, url, key] = process.argv;
/** `options` are of the browser's context; `noise` is what the case makes the browser itself complain about. */
const { default: play, options = {}, noise = /^$/ } = await import(pathToFileURL(file));

const browser = await launch();
try {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1100, height: 1400 }, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !noise.test(message.text())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(error.stack));
  const hosts = new Set();
  context.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "blob:" && protocol !== "data:") hosts.add(origin);
  });

  /** Wait until `look` gives something true, and give it. */
  const until = async (look, what = look.toString()) => {
    for (const end = Date.now() + 10_000; ;) {
      const found = await look();
      if (found) return found;
      assert.ok(Date.now() < end, `never so: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  /** Rules of accessibility that the page breaks now. */
  const broken = async () => {
    await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations, passes } = await page.evaluate((values) => globalThis.axe.run({ runOnly: values }), tags);
    assert.ok(passes.length > 15, "the rules were applied");
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  };
  const open = async (model = "spending-model") => {
    await page.goto("/");
    await page.locator("#inputs:enabled").waitFor();
    await page.getByLabel("Model").selectOption(model);
  };
  await play({ page, context, url, key, open, until, broken, assert, wrong });

  assert.deepEqual(wrong, [], "the console and the page's errors");
  assert.deepEqual([...hosts], [new URL(url).origin], "hosts that were asked");
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
