// The address names the proof: reloading the page goes on watching, and a kept link opens the result.

export const noise = /status of 404/;

export default async function ({ page, url, open, until, assert }) {
  await open();
  await page.getByLabel("Model").selectOption("slow");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  const id = await until(() => new URL(page.url()).hash.slice(1));
  await page.locator("#stages .running").waitFor();
  await page.reload();
  await page.locator("#stages .running").waitFor();
  assert.match(await page.locator("#work-id").textContent(), new RegExp(id));
  const told = page.waitForResponse((response) => response.request().method() === "DELETE");
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await (await told).json()).status, "cancelled");

  const body = JSON.stringify({ model_id: "spending-model", inputs: [1, 2, 3, 4, 5, 6, 7, 8] });
  const made = await (await fetch(`${url}/v1/proofs`, { method: "POST", body, headers: { "content-type": "application/json" } })).json();
  await page.evaluate((hash) => { location.hash = hash; }, made.id);
  await page.locator("#result").waitFor();
  const { result: { proof } } = await (await fetch(`${url}/v1/proofs/${made.id}`)).json();
  assert.ok((await page.locator("#facts").innerText()).includes(proof.proof_hash));

  await page.evaluate((hash) => { location.hash = hash; }, "0".repeat(64));
  await until(async () => /\(proof_not_found\)/.test(await page.getByRole("alert").textContent()));
  assert.ok(await page.locator("#result").isHidden());

  // Whatever else an address says is not asked for.
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.evaluate(() => { location.hash = "../../health"; });
  await page.waitForTimeout(100);
  assert.deepEqual(asked, []);
}
