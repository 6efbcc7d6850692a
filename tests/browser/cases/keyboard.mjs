// The whole way with the keyboard alone, in the order of the page, with the focus always to be seen.

export default async function ({ page, open, until, assert }) {
  await open("digits");
  await page.evaluate(() => document.activeElement.blur());
  const focused = () => page.evaluate(() => {
    const { id, tagName } = document.activeElement;
    const style = getComputedStyle(document.activeElement);
    return { name: id || tagName.toLowerCase(), ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
  });
  const tab = async (expected) => {
    await page.keyboard.press("Tab");
    const { name, ring } = await focused();
    assert.equal(name, expected);
    assert.ok(ring, `the focus on ${name} is visible`);
  };
  await tab("model");
  for (let presses = 0; await page.getByLabel("Model").inputValue() !== "spending-model"; presses += 1) {
    assert.ok(presses < 10, "the arrow keys reach every model");
    await page.keyboard.press("ArrowDown");
  }
  for (let value = 1; value <= 8; value += 1) {
    await tab("input");
    await page.keyboard.type(`0.${value}`);
  }
  await tab("tag");
  await tab("key");
  await tab("prove");
  await page.keyboard.press("Enter");
  await until(async () => (await focused()).name === "result-title");
  await tab("download");
  const download = page.waitForEvent("download");
  await page.keyboard.press("Enter");
  await download;
  await tab("verify");
  await page.keyboard.press("Space");
  await until(async () => /is valid/.test(await page.locator("#verdict").textContent()));

  // Enter in a field sends the form, as in any form.
  await page.getByLabel("Value 1").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.type("5");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.keyboard.press("Enter");
  assert.equal((await sent).postDataJSON().inputs[0], 0.15);
  await page.locator("#stages .done").nth(2).waitFor();
  await page.locator("#result").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.localName), "input", "who types on keeps the focus");
}
