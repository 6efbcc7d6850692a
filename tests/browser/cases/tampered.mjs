// "Verify" shows what the server finds: a proof that was changed on its way there is not valid.

export const noise = /status of 503/;

export default async function ({ page, open, until, assert }) {
  await open();
  await page.getByRole("button", { name: "Fill in an example" }).click();
  await page.getByRole("button", { name: "Prove" }).click();
  await page.locator("#result").waitFor();
  const verify = page.getByRole("button", { name: "Verify this proof" });
  const verdict = page.locator("#verdict");

  await page.route("**/verify", (route) => {
    const claim = route.request().postDataJSON();
    const last = claim.proof.at(-1) === "0" ? "1" : "0";
    return route.continue({ postData: JSON.stringify({ ...claim, proof: claim.proof.slice(0, -1) + last }) });
  });
  await verify.click();
  await until(async () => /is not valid: \w/.test(await verdict.textContent()));
  assert.equal(await verdict.getAttribute("class"), "bad");
  await page.unroute("**/verify");

  await page.route("**/verify", (route) => route.fulfill({ status: 503, json: { success: false, error: "try again", code: "unavailable" } }));
  await verify.click();
  await until(async () => /could not be checked: try again/.test(await verdict.textContent()));
  await page.unroute("**/verify");

  await verify.click();
  await until(async () => /is valid/.test(await verdict.textContent()));
  assert.equal(await verdict.getAttribute("class"), "good");
}
