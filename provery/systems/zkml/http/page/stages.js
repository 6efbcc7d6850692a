// The stages of a proof, as a list that grows with what the server tells.

const KNOWN = {
  fetch: "Fetch",
  witness: "Quantise the inputs and run the model",
  prove: "Prove",
  compress: "Compress",
  verify: "Verify the proof",
  submit: "Attest on chain",
};
/** Every proof goes through these; others join the list when they are heard of. */
const USUAL = ["witness", "prove", "verify"];
const ORDER = Object.keys(KNOWN);
const MARKS = { waiting: "○", running: "◐", done: "✓", failed: "✗" };

const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
const title = (name) => KNOWN[name] ?? name;

export class Stages {
  #list;
  #clock;
  #rows = new Map();
  #began = 0;
  #ticking = 0;

  constructor(list, clock) {
    this.#list = list;
    this.#clock = clock;
  }

  begin() {
    this.stop();
    this.#rows.clear();
    this.#list.replaceChildren();
    for (const name of USUAL) this.#row(name);
    this.#began = performance.now();
    this.#tick();
    this.#ticking = setInterval(() => this.#tick(), 100);
  }

  /** Take in `{stage, step, progress}`; what is worth saying of it aloud. */
  see({ stage, step, progress }) {
    if (!stage) return "Waiting for a free prover.";
    const known = this.#rows.get(stage);
    const fresh = !known || known.state === "waiting";
    const row = known ?? this.#row(stage);
    if (row.state === "done") return "";
    for (const [name, each] of this.#rows) {
      if (name === stage) break;
      if (each.state !== "done") this.#set(each, "done");
    }
    row.step = step ?? "";
    row.done = progress ?? 0;
    this.#set(row, "running");
    return fresh ? `${title(stage)}: running.` : "";
  }

  lost() {
    this.#clock.textContent = "The connection was lost; trying again.";
    return "The connection was lost; trying again.";
  }

  /** All is done. */
  finish() {
    for (const row of this.#rows.values()) if (row.state !== "done") this.#set(row, "done");
    this.#tick();
    this.stop();
  }

  /** What was under way did not end well. */
  fail(word = "failed") {
    for (const row of this.#rows.values()) if (row.state === "running") this.#set(row, "failed", word);
    this.stop();
  }

  stop() {
    clearInterval(this.#ticking);
  }

  #tick() {
    this.#clock.textContent = seconds(performance.now() - this.#began);
  }

  #row(name) {
    const item = document.createElement("li");
    const [mark, label, how] = ["span", "strong", "span"].map((tag) => document.createElement(tag));
    mark.className = "mark";
    mark.ariaHidden = "true";
    how.className = "how";
    label.textContent = title(name);
    item.append(mark, label, how);
    const row = { item, mark, label, how, bar: null, state: "", step: "", done: 0, since: 0 };
    this.#set(row, "waiting");
    this.#rows.set(name, row);
    const place = (each) => (ORDER.includes(each) ? ORDER.indexOf(each) : ORDER.length);
    this.#rows = new Map([...this.#rows].toSorted(([a], [b]) => place(a) - place(b)));
    this.#list.replaceChildren(...[...this.#rows.values()].map((each) => each.item));
    return row;
  }

  #set(row, state, word = state) {
    const now = performance.now();
    if (state === "running" && row.state !== "running") row.since = now;
    // Shorter ones are told of too late to be timed here.
    const took = state === "done" && row.state === "running" && now - row.since >= 1_000
      ? ` in ${seconds(now - row.since)}` : "";
    row.state = state;
    row.item.className = state;
    row.mark.textContent = MARKS[state];
    row.how.textContent = state === "running" && row.step ? `running: ${row.step}` : word + took;
    this.#bar(row, state === "running" && row.done > 0);
  }

  #bar(row, wanted) {
    if (!wanted) {
      row.bar?.remove();
      row.bar = null;
      return;
    }
    if (!row.bar) {
      row.bar = document.createElement("progress");
      row.bar.ariaLabel = row.label.textContent;
      row.item.append(row.bar);
    }
    row.bar.value = Math.min(1, row.done);
  }
}
