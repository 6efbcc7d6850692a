// Nothing is sent that is not so many finite numbers; what is wrong is said where it is.

export default async function ({ page, open, assert }) {
  await open();
  const posts = [];
  page.on("request", (request) => request.method() === "POST" && posts.push(request.postDataJSON()));
  const prove = page.getByRole("button", { name: "Prove" });
  const error = page.locator("#inputs-error");

  await prove.click();
  assert.equal(await error.textContent(), "Value 1 is empty.");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  assert.ok(await error.isHidden());
  for (const bad of ["abc", "NaN", "Infinity", "1e999", "0x10", "1,5", "--1", "1e", ".", "１"]) {
    const field = page.getByLabel("Value 6");
    await field.fill(bad);
    await prove.click();
    assert.equal(await error.textContent(), "Value 6 is not a number.", bad);
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.match(await field.getAttribute("aria-describedby"), /inputs-error/);
    assert.ok(await field.evaluate((each) => each === document.activeElement), "the focus is where to mend it");
  }
  assert.deepEqual(posts, []);

  await page.getByLabel("Model").selectOption("failing");
  assert.ok(await error.isHidden());
  assert.equal(await page.getByLabel("Value 2, 1").count(), 1, "fields are named by their place in the tensor");

  await page.getByLabel("Model").selectOption("digits");
  const area = page.getByLabel("64 values as JSON");
  const row = [0, 1, 2, 3, 4, 5, 6, 7];
  const square = Array.from({ length: 8 }, () => row);
  const bad = {
    "": /not JSON: expected an array of 64 numbers/,
    "[1, 2": /not JSON/,
    '{"a": 1}': /Expected an array/,
    "[1, 2]": /Expected 64 numbers, got 2/,
    [JSON.stringify([...square.flat(), 1])]: /got 65/,
    [JSON.stringify(square)]: /not nested as \[1, 1, 8, 8\]/,
    [JSON.stringify([[[...square.slice(1), [...row, 8]]]])]: /not nested/,
    [JSON.stringify(square.flat()).replace("7", "null")]: /Value 8 is not a finite number/,
    [JSON.stringify(square.flat()).replace("7", "1e999")]: /Value 8 is not a finite number/,
    [JSON.stringify(square.flat()).replace("7", "true")]: /Value 8 is not a finite number/,
  };
  for (const [text, message] of Object.entries(bad)) {
    await area.fill(text);
    await prove.click();
    assert.match(await error.textContent(), message);
    assert.equal(await area.getAttribute("aria-invalid"), "true");
  }
  assert.deepEqual(posts, []);
  for (const good of [square.flat(), [[square]]]) {
    await area.fill(JSON.stringify(good));
    const asked = page.waitForResponse((response) => response.url().endsWith("/v1/proofs"));
    await prove.click();
    await asked;
    await page.locator("#result").waitFor();
    assert.deepEqual(posts.pop().inputs, square.flat());
  }
  await page.getByRole("button", { name: "Fill in an example" }).click();
  assert.equal(JSON.parse(await area.inputValue()).length, 64);
}
