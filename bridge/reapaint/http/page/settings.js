const INPUT_TYPES = { integer: "number", number: "number", boolean: "checkbox", string: "text" };

/** The form of a request. Its fields have the API's own names. */
export class Settings {
  #form;
  #more;
  #note;
  #offer;

  /**
   * @param {HTMLFormElement} form has the inputs that have a place of their own
   * @param {HTMLElement} more takes an input for each other parameter
   * @param {HTMLElement} note says what has no effect, and why
   */
  constructor(form, more, note) {
    this.#form = form;
    this.#more = more;
    this.#note = note;
    form.elements.backend.addEventListener("change", () => this.#followBackend());
  }

  /** Offer what the server has. */
  set offer(offer) {
    this.#offer = offer;
    for (const parameter of offer.parameters) {
      const input = this.#form.elements[parameter.field] ?? this.#add(parameter);
      if (input.type !== "select-one") limit(input, parameter);
    }
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
  fields() {
    const fields = {};
    for (const field of this.#form.elements) {
      if (!field.name || field.disabled) continue;
      if (field.type === "checkbox") fields[field.name] = field.checked;
      else if (field.value !== "")
        fields[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
    }
    return fields;
  }

  /** Tell whether all fields can be sent, and show the first that can't. */
  check() {
    const wrong = this.#form.querySelector(":invalid");
    wrong?.closest("details")?.setAttribute("open", "");
    return this.#form.reportValidity();
  }

  /** Make the input of a parameter that has no place of its own, and return it. */
  #add({ field, title, type }) {
    const input = document.createElement("input");
    input.name = field;
    input.type = INPUT_TYPES[type];
    const label = document.createElement("label");
    if (type === "boolean") {
      label.className = "check";
      label.append(input, ` ${title}`);
    } else {
      label.append(title, input);
    }
    this.#more.append(label);
    return input;
  }

  #followBackend() {
    const { backend, model, mode } = this.#form.elements;
    const name = backend.value || this.#offer.default_backend;
    const info = this.#offer.backends.find((each) => each.name === name);
    // The engine chooses both, or none: who names a model must name its backend, too.
    const models = backend.value ? info.models : [];
    fill(model, [["", "What suits best"], ...models.map((each) => [each, each])]);
    fill(
      mode,
      info.modes.map((each) => [each, each]),
    );
    model.disabled = models.length < 2;
    mode.disabled = info.modes.length < 2;
    const inQuestion = this.#offer.parameters.filter((each) => each.needs_backend);
    const ignored = inQuestion.filter((each) => !info.honours.includes(each.name));
    for (const each of inQuestion) {
      this.#form.elements[each.field].disabled = ignored.includes(each);
    }
    const names = ignored.map((each) => each.title.toLowerCase()).join(", ");
    this.#note.textContent =
      `${name}: ${info.description}.` + (names && ` It takes no notice of: ${names}.`);
  }
}

function fill(select, choices) {
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
}

/** Give an input what a parameter may be, and what it is when nobody touches it. */
function limit(input, parameter) {
  const { type, meaning, low, high, optional, if_open: ifOpen } = parameter;
  input.title = meaning;
  if (type === "boolean") {
    input.checked = parameter.default;
    return;
  }
  input.value = parameter.default ?? "";
  input.placeholder ||= ifOpen;
  if (type === "string") {
    input.maxLength = parameter.max_characters;
    return;
  }
  input.min = low;
  input.max = high;
  input.step = type === "integer" ? 1 : "any";
  input.required = !optional;
}
