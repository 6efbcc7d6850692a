// A proof that fails, or that somebody else cancels, is told with its reason, and can be asked for again.

export default async function ({ page, url, open, until, assert }) {
  await open();
  const problem = page.getByRole("alert");
  await page.getByLabel("Model").selectOption("failing");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  for (let times = 0; times < 2; times += 1) {
    await until(async () => /could not be made \(ProverCrashed\); ask again \(proof_failed\)/.test(await problem.textContent()));
    assert.deepEqual(await page.locator("#stages li").evaluateAll((items) => items.map((item) => item.className)),
      ["done", "failed", "waiting"]);
    assert.ok(await page.locator("#result").isHidden());
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("#stages .running").waitFor();
  }
  await until(async () => /proof_failed/.test(await problem.textContent()));

  await page.getByLabel("Model").selectOption("slow");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#stages .running").waitFor();
  const id = new URL(page.url()).hash.slice(1);
  assert.equal((await fetch(`${url}/v1/proofs/${id}`, { method: "DELETE" })).status, 200);
  await until(async () => /the proof was cancelled/.test(await problem.textContent()));
}
