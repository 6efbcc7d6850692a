// What the server refuses is said with its code; the key goes into a header and nowhere else.

export const noise = /status of 40[014]/;

export default async function ({ page, context, key, open, until, assert }) {
  await open();
  const problem = page.getByRole("alert");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByLabel("Value 4").fill("1e6");
  await page.getByRole("button", { name: "Prove" }).click();
  await until(async () => /out of range.*\(invalid_input\)/.test(await problem.textContent()));
  await page.getByLabel("Value 4").fill("1");

  const requests = [];
  page.on("request", (request) => requests.push(request));
  await page.getByLabel("API key").fill("a-wrong-one");
  await page.getByRole("button", { name: "Try again" }).click();
  await until(async () => /unknown or revoked \(unauthorized\)Check the API key/.test(await problem.textContent()));
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator("#result").waitFor();
  assert.equal(await problem.textContent(), "");

  const api = requests.filter((request) => /\/v1\//.test(request.url()));
  assert.ok(api.length >= 3);
  for (const request of api) assert.ok(["Bearer a-wrong-one", `Bearer ${key}`].includes(request.headers().authorization));
  for (const request of requests) assert.ok(!`${request.url()} ${request.postData()}`.includes(key));
  const kept = await page.evaluate(() => JSON.stringify([
    location.href, { ...localStorage }, { ...sessionStorage }, document.cookie, history.state,
  ]));
  assert.ok(key.length > 20 && !kept.includes(key));
  assert.deepEqual((await context.storageState()).origins, []);

  // Without the key, which is gone, nobody sees what was asked for with it.
  await page.reload();
  await until(async () => /\(proof_not_found\)/.test(await problem.textContent()));
  assert.equal(await page.getByLabel("API key").inputValue(), "");
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator("#result").waitFor();
  assert.ok(await page.locator("#form [name]").count() === 0, "no field goes into a URL");
}
