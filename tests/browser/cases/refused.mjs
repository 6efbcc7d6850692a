// What the server refuses is said with its code; the key goes into a header and nowhere else.

export const noise = /status of 40[01]/;

export default async function ({ page, context, open, until, assert }) {
  await open();
  const problem = page.getByRole("alert");
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByLabel("Value 4").fill("1e6");
  await page.getByRole("button", { name: "Prove" }).click();
  await until(async () => /inputs\[3\] is outside the model's range \(invalid_input\)/.test(await problem.textContent()));
  await page.getByLabel("Value 4").fill("1");

  const requests = [];
  page.on("request", (request) => requests.push(request));
  await page.getByLabel("API key").fill("a-wrong-one");
  await page.getByRole("button", { name: "Try again" }).click();
  await until(async () => /unknown or revoked \(unauthorized\)Check the API key/.test(await problem.textContent()));
  await page.getByLabel("API key").fill("a-secret-that-nobody-may-see");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator("#result").waitFor();
  assert.equal(await problem.textContent(), "");

  const api = requests.filter((request) => /\/v1\//.test(request.url()));
  assert.ok(api.length >= 3);
  for (const request of api) assert.match(request.headers().authorization, /^Bearer a-/);
  for (const request of requests) assert.doesNotMatch(request.url() + (request.postData() ?? ""), /secret/);
  const kept = await page.evaluate(() => JSON.stringify([
    location.href, { ...localStorage }, { ...sessionStorage }, document.cookie, history.state,
  ]));
  assert.doesNotMatch(kept, /secret/);
  assert.deepEqual((await context.storageState()).origins, []);
  await page.reload();
  assert.equal(await page.getByLabel("API key").inputValue(), "");
  assert.ok(await page.locator("#form [name]").count() === 0, "no field goes into a URL");
}
