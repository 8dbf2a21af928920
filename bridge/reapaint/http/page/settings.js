/** The engine's names of what a backend honours, and the form's; all else is done for every one. */
const FIELDS = {
  prompt: "prompt",
  negative_prompt: "negative_prompt",
  steps: "num_inference_steps",
  guidance: "guidance_scale",
  strength: "strength",
  seed: "seed",
};

/** The form that says what is wished for. Its fields have the API's own names. */
export class Settings {
  #form;
  #note;
  #offer;

  /** @param {HTMLFormElement} form @param {HTMLElement} note says what has no effect, and why */
  constructor(form, note) {
    this.#form = form;
    this.#note = note;
    form.elements.backend.addEventListener("change", () => this.#followBackend());
  }

  /** Offer what the server has. */
  set offer(offer) {
    this.#offer = offer;
    const { backend, output_format: format } = this.#form.elements;
    fill(backend, [
      ["", `Automatic (${offer.default_backend})`],
      ...offer.backends.map(({ name }) => [name, name]),
    ]);
    fill(
      format,
      offer.formats.map((name) => [name, name]),
    );
    this.format = "wav";
    this.#followBackend();
  }

  get offer() {
    return this.#offer;
  }

  /** The file format of results. */
  get format() {
    return this.#form.elements.output_format.value;
  }

  set format(name) {
    this.#form.elements.output_format.value = name;
  }

  set seed(seed) {
    this.#form.elements.seed.value = seed;
  }

  /** Return the fields of a request; what was left open is left out. */
  wish() {
    const wish = {};
    for (const field of this.#form.elements) {
      if (!field.name || field.disabled) continue;
      if (field.type === "checkbox") wish[field.name] = field.checked;
      else if (field.value !== "")
        wish[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
    }
    return wish;
  }

  /** Tell whether all fields can be sent, and show the first that can't. */
  check() {
    const wrong = this.#form.querySelector(":invalid");
    wrong?.closest("details")?.setAttribute("open", "");
    return this.#form.reportValidity();
  }

  #followBackend() {
    const { backend, model, mode } = this.#form.elements;
    const name = backend.value || this.#offer.default_backend;
    const info = this.#offer.backends.find((each) => each.name === name);
    // A model that is named is a wish for its backend: by itself the engine chooses both.
    const models = backend.value ? info.models : [];
    fill(model, [["", "What suits best"], ...models.map((each) => [each, each])]);
    fill(
      mode,
      info.modes.map((each) => [each, each]),
    );
    model.disabled = models.length < 2;
    mode.disabled = info.modes.length < 2;
    const ignored = Object.keys(FIELDS).filter((each) => !info.honours.includes(each));
    for (const [each, field] of Object.entries(FIELDS)) {
      this.#form.elements[field].disabled = ignored.includes(each);
    }
    const names = ignored.map((each) => each.replace("_", " ")).join(", ");
    this.#note.textContent =
      `${name}: ${info.description}.` + (names && ` It takes no notice of: ${names}.`);
  }
}

function fill(select, choices) {
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
}
