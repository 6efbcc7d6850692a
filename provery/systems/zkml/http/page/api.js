// The HTTP API as this page uses it. Paths are relative: the page works behind a proxy that adds a prefix.

/** What the server refused, or why it could not be asked. */
export class Problem extends Error {
  /** `code` is the server's, or "network"; `retryAfter` in seconds, null where the server named none. */
  constructor(message, { status = 0, code = "", retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

/** Of a response that is not a success. Servers on the way answer with pages of their own: then the status counts. */
async function problem(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // not JSON
  }
  const said = body?.message ?? body?.error;
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return new Problem(typeof said === "string" && said ? said : `The server answered ${response.status}.`, {
    status: response.status,
    code: body?.code ?? "",
    retryAfter: Number.isFinite(seconds) ? Math.max(0, seconds) : null,
  });
}

/** What a stream gives; not every browser can iterate over one itself. */
async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel().catch(() => {}); // also where nobody wants the rest
  }
}

/** Server-sent events of a response's body, as `{event, data, id}`; `data` is parsed JSON. */
export async function* parseEvents(body) {
  let [event, data, id, rest] = ["", [], "", ""];
  for await (const text of chunks(body.pipeThrough(new TextDecoderStream()))) {
    // A lone CR at the end may be half of a CRLF: it waits for what follows.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (!line) {
        if (data.length) yield { event: event || "message", data: JSON.parse(data.join("\n")), id };
        [event, data] = ["", []];
        continue;
      }
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (field === "event") event = value;
      else if (field === "data") data.push(value);
      else if (field === "id") id = value;
    }
  }
}

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const ended = () => { clearTimeout(timer); reject(signal.reason); };
  const timer = setTimeout(() => { signal.removeEventListener("abort", ended); resolve(); }, ms);
  signal.addEventListener("abort", ended, { once: true });
});

/** Longest pause between tries to follow a proof again, and how much of a Retry-After is believed, ms. */
const LONGEST = 10_000;
/** How long a poll waits, seconds. */
const WAIT = 10;

export class Api {
  #key;

  /** `key()` gives the API key, or nothing. */
  constructor(key) {
    this.#key = key;
  }

  async #send(path, { method = "GET", body, headers = {}, signal } = {}) {
    const key = this.#key();
    let response;
    try {
      response = await fetch(new URL(path, document.baseURI), {
        method,
        signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        headers: {
          Accept: "application/json",
          ...(key && { Authorization: `Bearer ${key}` }),
          ...(body && { "Content-Type": "application/json" }),
          ...headers,
        },
        body: body && JSON.stringify(body),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Problem("The server cannot be reached.", { code: "network" });
    }
    if (!response.ok) throw await problem(response);
    return response;
  }

  async #json(path, options) {
    try {
      return await (await this.#send(path, options)).json();
    } catch (error) {
      if (error instanceof Problem || options?.signal?.aborted) throw error;
      throw new Problem("The server's answer was cut off or is not JSON.", { code: "network" });
    }
  }

  async models() {
    return (await this.#json("models")).models;
  }

  /** Ask for a proof: how it stands, which may be done. */
  start(request, signal) {
    return this.#json("v1/proofs", { method: "POST", body: request, signal });
  }

  /** How a proof stands, after `wait` seconds or once it has ended. */
  proof(id, wait, signal) {
    return this.#json(`v1/proofs/${encodeURIComponent(id)}?wait=${wait}`, { signal });
  }

  cancel(id) {
    return this.#send(`v1/proofs/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  verify(claim) {
    return this.#json("verify", { method: "POST", body: claim });
  }

  /**
   * What happens to a proof, as events, until it has ended. A lost connection is taken up again: then there is an event
   * `lost` of the page's own. A server that can hold no more streams is polled.
   */
  async *events(id, signal) {
    let last = "";
    for (let tries = 0; ; tries += 1) {
      try {
        const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
        const response = await this.#send(`v1/proofs/${encodeURIComponent(id)}/events`, { headers, signal });
        for await (const event of parseEvents(response.body)) {
          tries = 0;
          last = event.id || last;
          yield event;
          if (event.event === "end") return;
        }
      } catch (error) {
        if (signal.aborted) throw error;
        const passing = !(error instanceof Problem) || !error.status || error.status === 429 || error.status >= 500;
        if (!passing) throw error;
        if (error.code === "busy") {
          const told = await this.proof(id, WAIT, signal);
          const over = !["running", "parked"].includes(told.status);
          yield { event: over ? "end" : "progress", data: told };
          if (over) return;
          continue;
        }
        if (error.retryAfter) await pause(Math.min(error.retryAfter * 1000, LONGEST), signal);
      }
      yield { event: "lost", data: { tries: tries + 1 } };
      await pause(Math.min(500 * 2 ** tries, LONGEST), signal);
    }
  }
}
