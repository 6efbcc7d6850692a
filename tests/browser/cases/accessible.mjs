// Accessibility rules in every state of the page, light and dark; small screens; people who want no motion.

export const noise = /status of 400/;
export const options = { reducedMotion: "reduce" };

export default async function ({ page, open, until, broken, assert }) {
  const both = async (state) => {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await broken(), [], `${state}, ${colorScheme}`);
    }
    await page.setViewportSize({ width: 320, height: 1400 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 320), `${state}: nothing is cut off at 320`);
    await page.setViewportSize({ width: 1100, height: 1400 });
  };
  await open();
  const names = await page.locator("#form").evaluate((form) => [...form.elements]
    .filter((each) => each.matches("input, select, textarea")).map((each) => each.labels.length));
  assert.ok(names.length > 10 && names.every((count) => count === 1), "every field has its label");
  await page.getByRole("button", { name: "Prove" }).click();
  await both("a field is wrong");

  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByLabel("Value 1").fill("1e6");
  await page.getByRole("button", { name: "Prove" }).click();
  await until(async () => /invalid_input/.test(await page.getByRole("alert").textContent()));
  await both("refused");

  await page.getByLabel("Model").selectOption("slow");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#stages .running").waitFor();
  assert.equal(await page.locator("#stages .running .mark").evaluate((mark) => mark.getAnimations().length), 0);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  assert.equal(await page.locator("#stages .running .mark").evaluate((mark) => mark.getAnimations().length), 1);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await both("running");
  await page.getByRole("button", { name: "Cancel" }).click();
  await both("cancelled");

  await page.getByLabel("Model").selectOption("digits");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#result").waitFor();
  await page.getByRole("button", { name: "Verify this proof" }).click();
  await until(async () => /is valid/.test(await page.locator("#verdict").textContent()));
  await both("finished");
}
