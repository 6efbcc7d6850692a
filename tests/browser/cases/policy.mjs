// The browser holds the page to its policy: nothing inline, nothing evaluated, nothing from or to elsewhere, no frame.

export const noise = /Content Security Policy|TrustedHTML|TrustedScript|ERR_BLOCKED|violates|Refused|frame/i;

export default async function ({ page, url, open, assert, wrong }) {
  await open();
  const tried = await page.evaluate(async (other) => {
    const outcome = async (act) => {
      try {
        return await act() ?? "done";
      } catch (error) {
        return error.name;
      }
    };
    const later = () => new Promise((resolve) => { setTimeout(resolve, 100); });
    return {
      inline: await outcome(async () => {
        const script = document.createElement("script");
        script.append("globalThis.ran = true");
        document.body.append(script);
        await later();
        return globalThis.ran ?? "did not run";
      }),
      html: await outcome(() => { document.createElement("p").innerHTML = "<b>x</b>"; }),
      elsewhere: await outcome(() => fetch(other)),
      style: await outcome(() => {
        const style = document.createElement("style");
        style.append("body { opacity: 0 }");
        document.head.append(style);
        return getComputedStyle(document.body).opacity;
      }),
    };
  }, url.replace("127.0.0.1", "localhost"));
  assert.deepEqual(tried, { inline: "did not run", html: "TypeError", elsewhere: "TypeError", style: "1" });
  const framed = await page.context().newPage();
  await framed.goto("/models");
  await framed.evaluate(() => {
    const frame = document.createElement("iframe");
    frame.src = "/";
    document.body.append(frame);
  });
  await framed.waitForTimeout(300);
  assert.notEqual(await framed.frames()[1].title().catch(() => ""), await page.title());
  assert.deepEqual(wrong, []);
}
