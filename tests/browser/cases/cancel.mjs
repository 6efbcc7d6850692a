// Cancelling tells the server, and the page is ready for the next request at once.

export default async function ({ page, open, until, assert }) {
  await open();
  await page.getByLabel("Model").selectOption("slow");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#stages .running").waitFor();
  const id = await until(() => new URL(page.url()).hash.slice(1));
  await page.getByRole("button", { name: "Prove" }).click({ force: true });
  const told = page.waitForResponse((response) => response.request().method() === "DELETE");
  await page.getByRole("button", { name: "Cancel" }).click();
  const { id: withdrawn, status } = await (await told).json();
  assert.deepEqual([withdrawn, status], [id, "cancelled"]);
  assert.match(await page.locator("#stages .failed").innerText(), /cancelled/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "prove");
  assert.ok(await page.getByRole("button", { name: "Cancel" }).isHidden());
  assert.equal(await page.getByRole("alert").textContent(), "");

  await page.getByLabel("Model").selectOption("spending-model");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#result").waitFor();
}
