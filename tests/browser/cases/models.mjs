// No model yet, or no server: it is said, and asked again on demand. Names are text, whatever is in them.

export const noise = /status of 503/;

export default async function ({ page, assert, until }) {
  const problem = page.getByRole("alert");
  const again = page.getByRole("button", { name: "Try again" });
  await page.route("**/models", (route) => route.fulfill({ status: 503, json: { success: false, error: "not now", code: "unavailable" } }));
  await page.goto("/");
  await until(async () => /not now \(unavailable\)/.test(await problem.textContent()));
  await page.unroute("**/models");

  await page.route("**/models", (route) => route.fulfill({ json: { models: [] } }));
  await again.click();
  await until(async () => /No model is ready yet/.test(await problem.textContent()));
  assert.ok(await page.getByLabel("Model").isDisabled());
  await page.getByRole("button", { name: "Prove" }).click();
  await page.unroute("**/models");

  const name = '<img src=x onerror="document.title=1">';
  await page.route("**/models", (route) => route.fulfill({
    json: { models: [{ id: "m", name, version: name, input_shape: [1], output_shape: [1], example: [0.125] }] },
  }));
  await again.click();
  await page.locator("#inputs:enabled").waitFor();
  assert.equal(await problem.textContent(), "");
  assert.equal(await page.getByLabel("Model").locator("option").textContent(), name);
  await page.getByRole("button", { name: "Fill in an example" }).click();
  assert.equal(await page.getByLabel("Value 1").inputValue(), "0.125", "the model's own example");
  assert.equal(await page.locator("img").count(), 0);
}
