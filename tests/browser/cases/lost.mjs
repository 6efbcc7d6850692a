// Connections that break: events are taken up where they ended, and a server that is away is said to be away.

export const noise = /ERR_|status of (429|50[23])/;

export default async function ({ page, open, until, assert }) {
  await open();
  const problem = page.getByRole("alert");
  await page.getByRole("button", { name: "Fill in an example" }).click();

  await page.route("**/v1/proofs", (route) => route.abort());
  await page.getByRole("button", { name: "Prove" }).click();
  await until(async () => /cannot be reached\. \(network\)/.test(await problem.textContent()));
  await page.unroute("**/v1/proofs");

  await page.route("**/v1/proofs", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" }));
  await page.getByRole("button", { name: "Try again" }).click();
  await until(async () => /The server answered 502/.test(await problem.textContent()));
  await page.unroute("**/v1/proofs");

  // The stream ends after one event; then there is no connection; then the server is restarting; then it goes on.
  const asked = [];
  await page.route("**/events", (route) => {
    asked.push(route.request().headers()["last-event-id"]);
    if (asked.length === 1) {
      const body = 'id: 1\r\nevent: stage\r\ndata: {"stage": "witness",\r\ndata: "step": "torn", "progress": 0.5}\r\n\r\nid: 2\r\nevent: sta';
      return route.fulfill({ contentType: "text/event-stream", body });
    }
    if (asked.length === 2) return route.abort();
    if (asked.length === 3) return route.fulfill({ status: 503, headers: { "retry-after": "1" }, json: {} });
    return route.continue();
  });
  await page.getByRole("button", { name: "Try again" }).click();
  await until(async () => /running: torn/.test(await page.locator("#stages").textContent()));
  assert.equal(await page.locator("#stages progress").getAttribute("value"), "0.5");
  await until(async () => /connection was lost; trying again/.test(await page.locator("#said").textContent()));
  await page.locator("#result").waitFor();
  assert.deepEqual(asked, [undefined, "1", "1", "1"], "what was seen is not asked for again");
  assert.equal(await problem.textContent(), "");
  await page.unroute("**/events");

  // A server that holds as many streams as it can is polled.
  const busy = { status: 429, headers: { "retry-after": "5" }, json: { success: false, error: "too many", code: "busy" } };
  await page.route("**/events", (route) => route.fulfill(busy));
  await page.getByLabel("Value 1").fill("0.75");
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#stages .running").or(page.locator("#result")).waitFor();
  await page.locator("#result").waitFor();
}
