// The parser of event streams, byte by byte: what it finds does not depend on how a stream is cut.

export default async function ({ page, open, assert }) {
  await open();
  const found = await page.evaluate(async () => {
    const { parseEvents } = await import("/page/api.js");
    const bytes = new TextEncoder().encode([
      ": a comment\n\n",
      "id: 1\nevent: stage\ndata: {\"step\": \"größer ✓\"}\n\n",
      "id: 2\r\nevent:stage\r\ndata: {\"a\":\r\ndata: 1}\r\nretry: 5\r\n\r\n",
      "event: nothing\n\n",
      "data: [1]\r\r",
      "event: end\ndata: {\"status\": \"done\"}\n\n",
      "event: torn\ndata: {\"half\"",
    ].join(""));
    const read = async (size) => {
      const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size));
      const stream = new ReadableStream({ pull: (to) => (parts.length ? to.enqueue(parts.shift()) : to.close()) });
      const events = [];
      for await (const event of parseEvents(stream)) events.push(event);
      return JSON.stringify(events);
    };
    const all = await Promise.all(Array.from({ length: bytes.length }, (_, i) => read(i + 1)));
    return [...new Set(all)].map((each) => JSON.parse(each));
  });
  assert.deepEqual(found, [[
    { event: "stage", data: { step: "größer ✓" }, id: "1" },
    { event: "stage", data: { a: 1 }, id: "2" },
    { event: "message", data: [1], id: "2" },
    { event: "end", data: { status: "done" }, id: "2" },
  ]]);
}
