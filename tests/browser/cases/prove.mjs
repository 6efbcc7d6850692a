// From a model to a checked proof in a file.

import { readFileSync } from "node:fs";

export default async function ({ page, url, open, until, assert }) {
  await open();
  await page.getByLabel("Model").selectOption("spending-model");
  assert.match(await page.locator("#model-facts").textContent(), /^\[1, 8\] in, \[1, 3\] out/);
  assert.match(await page.locator("#inputs-hint").textContent(), /Shape \[1, 8\]: 8 numbers/);

  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByLabel("Value 3").fill("-2.5e-1");
  await page.getByLabel("Tag").fill("spending");
  const values = await page.locator("#values input").evaluateAll((fields) => fields.map((field) => Number(field.value)));

  // What a person sees of the stages, and what is spoken, as it changes.
  await page.evaluate(() => {
    globalThis.seen = [];
    globalThis.spoken = [];
    const watch = (id, look) => new MutationObserver(look)
      .observe(document.getElementById(id), { childList: true, subtree: true, attributes: true, characterData: true });
    watch("stages", () => {
      const now = [...document.querySelectorAll("#stages li")].map((item) => item.className).join(" ");
      if (globalThis.seen.at(-1) !== now) globalThis.seen.push(now);
    });
    watch("said", () => globalThis.spoken.push(document.getElementById("said").textContent));
  });
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Prove" }).click();
  const { model_id, inputs, tag } = (await sent).postDataJSON();
  assert.deepEqual([model_id, inputs, tag], ["spending-model", values, "spending"]);
  assert.equal(inputs[2], -0.25);

  await page.getByRole("heading", { name: "Result" }).waitFor();
  assert.deepEqual(await page.evaluate(() => globalThis.seen), [
    "waiting waiting waiting", "running waiting waiting", "done running waiting", "done done running", "done done done",
  ]);
  const spoken = await page.evaluate(() => globalThis.spoken.filter(Boolean));
  assert.deepEqual(spoken.map((text) => text.split(/[.:]/)[0]), [
    "Sent", "Quantise the inputs and run the model", "Prove", "Verify the proof", "The proof is ready",
  ]);
  assert.equal(await page.evaluate(() => document.activeElement.id), "result-title", "the focus follows who waits");

  const id = new URL(page.url()).hash.slice(1);
  const { result } = await (await fetch(`${url}/v1/proofs/${id}`)).json();
  const whole = { success: true, id, ...result };
  const facts = await page.locator("#facts").innerText();
  for (const digest of ["model_hash", "input_hash", "output_hash"]) assert.ok(facts.includes(whole.proof.metadata[digest]));
  assert.ok(facts.includes(whole.proof.proof_hash));
  assert.ok(facts.includes(whole.inference.raw_output.join(", ")));
  assert.ok(facts.includes("spending"));

  await page.getByRole("button", { name: "Verify this proof" }).click();
  await until(async () => /is valid \(checked in \d+ ms\)/.test(await page.locator("#verdict").textContent()));

  const coming = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download the proof" }).click();
  const download = await coming;
  assert.equal(download.suggestedFilename(), `proof-${whole.proof.proof_hash.slice(2, 14)}.json`);
  whole.proof.tag = "spending";
  assert.deepEqual(JSON.parse(readFileSync(await download.path(), "utf8")), whole);

  // The same request again is the same proof, without work.
  await page.getByRole("button", { name: "Prove" }).click();
  await until(async () => /was proved before/.test(await page.locator("#work-id").textContent()));
  await page.locator("#result").waitFor();
  assert.ok((await page.locator("#facts").innerText()).includes(whole.proof.proof_hash));
  assert.equal(await page.locator("#stages .done").count(), 3);
}
