// The inputs of a model: one field a value for small tensors, JSON in a text area for large ones.

/** Tensors with more values than this are edited as JSON. */
export const FIELDS = 48;

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

export const size = (shape) => shape.reduce((product, length) => product * length, 1);
export const shown = (shape) => `[${shape.join(", ")}]`;

/** What is wrong with an input: `at` is the index of its field, where it is one value's. */
export class BadInput extends Error {
  constructor(message, at = null) {
    super(message);
    this.at = at;
  }
}

/** A finite number as people write it; null for anything else. */
export function parseNumber(text) {
  const value = NUMBER.test(text.trim()) ? Number(text) : NaN;
  return Number.isFinite(value) ? value : null;
}

/** The values of a JSON array, flat or nested as the shape says, in row-major order. */
export function parseTensor(text, shape) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadInput(`This is not JSON: expected an array of ${size(shape)} numbers.`);
  }
  if (!Array.isArray(value)) throw new BadInput("Expected an array of numbers.");
  const flat = value.some(Array.isArray) ? nested(value, shape) : value;
  const odd = flat.findIndex((each) => typeof each !== "number" || !Number.isFinite(each));
  if (odd >= 0) throw new BadInput(`Value ${odd + 1} is not a finite number.`);
  if (flat.length !== size(shape)) throw new BadInput(`Expected ${size(shape)} numbers, got ${flat.length}.`);
  return flat;
}

function nested(value, shape) {
  if (!shape.length) return [value];
  if (!Array.isArray(value) || value.length !== shape[0]) {
    throw new BadInput(`The arrays are not nested as ${shown(shape)}: give them so, or one flat array.`);
  }
  return value.flatMap((each) => nested(each, shape.slice(1)));
}

/** Values to begin with: the model's own example where the server gives one, else an even spread over 0 to 1. */
export function example(model) {
  const given = model.example;
  if (Array.isArray(given) && given.length === size(model.input_shape)) return given;
  return Array.from({ length: size(model.input_shape) }, (_, i) => Math.round(((i + 1) * 0.618034 % 1) * 1000) / 1000);
}

/** The place of value `index` in the tensor, without its leading ones: "3" of [1, 8], "2, 0" of [4, 3]. */
function place(index, shape) {
  const dims = shape.slice(shape.findIndex((length) => length !== 1));
  const at = [];
  for (const length of dims.toReversed()) {
    at.unshift(index % length);
    index = Math.floor(index / length);
  }
  return at.map((each) => each + 1).join(", ");
}

/** The fields under a fieldset. */
export class Inputs {
  #fieldset = document.getElementById("inputs");
  #values = document.getElementById("values");
  #hint = document.getElementById("inputs-hint");
  #error = document.getElementById("inputs-error");
  #model = null;

  /** Make empty fields for a model. */
  show(model) {
    this.#model = model;
    const count = size(model.input_shape);
    const many = count > FIELDS;
    this.#hint.textContent = `Shape ${shown(model.input_shape)}: ${count} ${count === 1 ? "number" : "numbers"}`
      + (many ? " as a JSON array, flat in row-major order or nested." : ".");
    this.#values.classList.toggle("whole", many);
    this.#values.replaceChildren(...(many ? [this.#area(count)] : Array.from({ length: count }, (_, i) => this.#field(i))));
    this.clear();
    this.#fieldset.disabled = false;
  }

  #field(index) {
    const label = document.createElement("label");
    const field = document.createElement("input");
    field.type = "text";
    field.inputMode = "decimal";
    field.autocomplete = "off";
    label.append(`Value ${place(index, this.#model.input_shape)}`, field);
    return label;
  }

  #area(count) {
    const label = document.createElement("label");
    const area = document.createElement("textarea");
    area.spellcheck = false;
    label.append(`${count} values as JSON`, area);
    return label;
  }

  get #fields() {
    return [...this.#values.querySelectorAll("input, textarea")];
  }

  fill(values) {
    this.clear();
    const fields = this.#fields;
    if (fields[0]?.localName === "textarea") fields[0].value = JSON.stringify(values);
    else fields.forEach((field, i) => { field.value = String(values[i]); });
  }

  /** The values, flat; throws BadInput, and shows what is wrong where it is. */
  read() {
    this.clear();
    const fields = this.#fields;
    try {
      if (fields[0]?.localName === "textarea") return parseTensor(fields[0].value, this.#model.input_shape);
      return fields.map((field, at) => {
        const value = parseNumber(field.value);
        if (value !== null) return value;
        const name = `Value ${place(at, this.#model.input_shape)}`;
        throw new BadInput(field.value.trim() ? `${name} is not a number.` : `${name} is empty.`, at);
      });
    } catch (error) {
      if (error instanceof BadInput) this.#blame(fields[error.at ?? 0], error.message);
      throw error;
    }
  }

  #blame(field, message) {
    this.#error.textContent = message;
    this.#error.hidden = false;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", "inputs-hint inputs-error");
    field.focus();
  }

  clear() {
    this.#error.hidden = true;
    this.#error.textContent = "";
    for (const field of this.#fields) {
      field.removeAttribute("aria-invalid");
      field.setAttribute("aria-describedby", "inputs-hint");
    }
  }
}
