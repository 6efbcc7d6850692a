// The page: pick a model, edit its inputs, watch the proof being made, check it, take it away.

import { Api, Problem } from "./api.js";
import { BadInput, Inputs, example, shown } from "./inputs.js";
import { Stages } from "./stages.js";
import { Result } from "./result.js";

const at = (id) => document.getElementById(id);
const api = new Api(() => at("key").value.trim());
const inputs = new Inputs();
const stages = new Stages(at("stages"), at("clock"));
const result = new Result(api);

let models = new Map();
/** What is under way: `{abort, id}`; null when nothing is. */
let running = null;

/** What a proof tells others of its inputs. */
const VISIBLE = { public: "are public", hashed: "show as a hash", commitment: "are hidden by a commitment" };

const say = (text) => { at("said").textContent = text; };
const model = () => models.get(at("model").value);

// ------------------------------------------------------------------ models

async function loadModels() {
  try {
    models = new Map((await api.models()).map((each) => [each.id, each]));
  } catch (error) {
    return complain(error, loadModels);
  }
  forget();
  const options = [...models.values()].map((each) => new Option(each.name ?? each.id, each.id));
  at("model").replaceChildren(...(options.length ? options : [new Option("No model is ready", "")]));
  at("model").disabled = !options.length;
  if (options.length) showModel();
  else complain(new Problem("No model is ready yet: models that were just put there are being prepared."), loadModels);
}

function showModel() {
  const { input_shape, output_shape, version, prover, visibility } = model();
  const facts = [
    `${shown(input_shape)} in, ${shown(output_shape)} out`,
    version && `version ${version.slice(0, 12)}`,
    prover && `proved by ${prover}`,
    visibility && `inputs ${VISIBLE[visibility] ?? visibility}`,
  ];
  at("model-facts").textContent = facts.filter(Boolean).join(" · ");
  inputs.show(model());
}

// ---------------------------------------------------------------- problems

let countdown = 0;

function forget() {
  clearInterval(countdown);
  at("problem").replaceChildren();
  at("problem").className = "";
}

/** Say what went wrong, what can be done, and offer to do `again` what failed. */
function complain(error, again) {
  forget();
  const lines = [error.message];
  if (error.status === 401 || error.status === 403) lines.push("Check the API key.");
  const texts = lines.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
  if (error.code) texts[0].append(` (${error.code})`);
  at("problem").className = "problem";
  at("problem").replaceChildren(...texts);
  if (!again) return;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Try again" });
  button.addEventListener("click", () => button.ariaDisabled !== "true" && again());
  const row = Object.assign(document.createElement("p"), { className: "actions" });
  row.append(button);
  at("problem").append(row);
  if (error.retryAfter) countDown(button, error.retryAfter);
}

/** The server says when it is worth asking again; seconds that pass are seen, and only the end is spoken. */
function countDown(button, seconds) {
  const due = performance.now() + seconds * 1000;
  const left = Object.assign(document.createElement("span"), { className: "hint" });
  left.setAttribute("aria-live", "off");
  button.after(left);
  button.ariaDisabled = "true";
  const tick = () => {
    const rest = Math.ceil((due - performance.now()) / 1000);
    left.textContent = rest > 0 ? `in ${rest} s` : "";
    if (rest > 0) return;
    clearInterval(countdown);
    button.ariaDisabled = "false";
    say("You can try again now.");
  };
  tick();
  countdown = setInterval(tick, 250);
}

// ------------------------------------------------------------------ a proof

function setRunning(value) {
  running = value;
  at("prove").ariaDisabled = String(Boolean(value));
  at("cancel").hidden = !value;
}

/** Do `work`, one at a time, and take what goes wrong to the person. */
async function run(work, again) {
  if (running) return;
  forget();
  const mine = { abort: new AbortController(), id: "" };
  setRunning(mine);
  try {
    await work(mine);
  } catch (error) {
    if (!mine.abort.signal.aborted) {
      stages.fail();
      say("");
      complain(error instanceof Problem ? error : new Problem(`This page failed: ${error.message}`), again);
    }
  } finally {
    if (running === mine) {
      setRunning(null);
      stages.stop();
    }
  }
}

function ask(event) {
  event?.preventDefault();
  if (running || !model()) return;
  let values;
  try {
    values = inputs.read();
  } catch (error) {
    if (error instanceof BadInput) return;
    throw error;
  }
  const tag = at("tag").value.trim();
  const request = { model_id: model().id, inputs: values, ...(tag && { tag }) };
  run(async (mine) => {
    result.hide();
    begin("Sent.");
    const told = await api.start(request, mine.abort.signal);
    await follow(told.id, mine, tag, told);
  }, ask);
}

function begin(text) {
  at("work").hidden = false;
  at("work-id").textContent = "";
  stages.begin();
  say(text);
}

/** Watch the proof of an id to its end, and show it. `told` is how it stood when it was asked for. */
async function follow(id, mine, tag = "", told = {}) {
  mine.id = id;
  at("work-id").textContent = `Request ${id}${told.result ? " was proved before." : ""}`;
  history.replaceState(null, "", `#${id}`); // reloading the page goes on watching
  if (!told.result) told = await watch(id, mine.abort.signal);
  if (!told.result) throw new Problem(told.error ?? `The request ended without a proof: ${told.status}.`, { code: told.code });
  // As POST /prove answers. The tag is of a request, not of a proof, which many requests may share.
  const whole = { success: true, id, ...told.result };
  if (tag) whole.proof.tag = tag;
  stages.finish();
  say("The proof is ready.");
  // Only from where a person waited: somebody who went on typing is not interrupted.
  const waiting = [at("prove"), at("cancel"), document.body].includes(document.activeElement);
  result.show(whole);
  if (waiting) at("result-title").focus();
}

/** Show the stages until the end; how the proof stands then. */
async function watch(id, signal) {
  for await (const { event, data } of api.events(id, signal)) {
    if (event === "stage" || event === "progress") say(stages.see(data));
    else if (event === "lost") say(stages.lost());
    else if (event === "end") return data;
  }
  throw new Problem("The server told no end of this request.");
}

/** Watch what the address names. */
function open() {
  const id = location.hash.slice(1);
  if (!/^[0-9a-f]{64}$/.test(id) || running) return;
  run(async (mine) => {
    result.hide();
    begin("Looking the request up.");
    await follow(id, mine);
  }, open);
}

async function stop() {
  const mine = running;
  if (!mine) return;
  mine.abort.abort();
  stages.fail("cancelled");
  setRunning(null);
  at("prove").focus();
  say("Cancelled.");
  if (!mine.id) return;
  try {
    await api.cancel(mine.id);
  } catch (error) {
    if (error.status !== 404 && error.status !== 409) complain(error);
  }
}

// ------------------------------------------------------------------- wiring

at("form").addEventListener("submit", ask);
at("model").addEventListener("change", showModel);
at("example").addEventListener("click", () => {
  if (!model()) return;
  inputs.fill(example(model()));
  say("Filled in an example.");
});
at("cancel").addEventListener("click", stop);
addEventListener("hashchange", open);

await loadModels();
open();
