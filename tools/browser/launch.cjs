// Starts the browser of tests and pictures: the packaged one, or what PROVERY_BROWSER names.

const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { chromium } = require("playwright-core");

const UNPACKED = join(__dirname, "..", "..", ".provery", "browser");

// Nothing but what a test asks for may go over the network, and root needs to be without a sandbox.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--font-render-hinting=none"];

/** The browser's program, and what its environment must say. */
function program() {
  const own = process.env.PROVERY_BROWSER;
  if (own) return { executablePath: own, env: process.env };
  const executablePath = join(UNPACKED, "chromium");
  if (!existsSync(executablePath)) {
    throw new Error("no browser: run `make browser`, or set PROVERY_BROWSER to a Chromium of this machine");
  }
  const libraries = [join(UNPACKED, "al2023", "lib"), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return {
    executablePath,
    env: { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: join(UNPACKED, "fonts") },
  };
}

/** A running browser of Playwright's; `close()` it. */
async function launch() {
  return chromium.launch({ ...program(), headless: true, args: FLAGS, timeout: 30_000 });
}

module.exports = { launch, program };
