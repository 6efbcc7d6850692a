// 429: how long to wait is counted down, and then the same request can be made again.

export const noise = /status of 429/;

export default async function ({ page, open, assert }) {
  await page.clock.install({ time: 0 });
  await open();
  let refusals = 1;
  await page.route("**/v1/proofs", (route) => (refusals-- > 0 ? route.fulfill({
    status: 429,
    headers: { "retry-after": "7" },
    json: { success: false, error: "more proofs than this address may ask for", code: "rate_limited" },
  }) : route.continue()));
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.clock.pauseAt(60_000); // the page's time goes on only where this says so
  await page.getByRole("button", { name: "Prove" }).click();
  const again = page.getByRole("button", { name: "Try again" });
  await again.waitFor();
  const text = await page.getByRole("alert").textContent();
  assert.match(text, /more proofs than this address may ask for \(rate_limited\)/);
  assert.match(text, /in 7 s/);
  assert.equal(await again.getAttribute("aria-disabled"), "true");
  await again.click({ force: true });
  assert.equal(refusals, 0, "it is too early: nothing was sent");
  await page.clock.runFor(4_000);
  assert.match(await page.getByRole("alert").textContent(), /in 3 s/);
  assert.equal(await again.getAttribute("aria-disabled"), "true");
  await page.clock.runFor(3_000);
  assert.doesNotMatch(await page.getByRole("alert").textContent(), /in \d/);
  assert.equal(await again.getAttribute("aria-disabled"), "false");
  assert.equal(await page.locator("#said").textContent(), "You can try again now.");
  await again.click();
  await page.locator("#result").waitFor();
  assert.equal(refusals, -1);
}
