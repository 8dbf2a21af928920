const BASE = new URL("api/v3/", document.baseURI);
const MODEL = "reapaint/auto";
const FIRST_PAUSE_MS = 150;
const MAX_PAUSE_MS = 1000;
const PAUSE_GROWTH = 1.2;
/** Who waits gives up after so many questions in a row that the server did not answer. */
const MAX_FAILURES = 10;

/** What the server says can't be done; `message` is a sentence for people. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * The server's API. It asks for a token only where the server does.
 *
 * @param {(wasWrong: boolean) => Promise<string>} askToken resolves to what a person typed, ""
 *   where they gave up
 */
export class Gateway {
  #askToken;
  #token = sessionStorage.getItem("token") ?? "";

  constructor(askToken) {
    this.#askToken = askToken;
  }

  /** Return what the server offers: backends, formats and limits. */
  offer() {
    return this.#call("GET", "models");
  }

  /** Return a prediction's state. */
  prediction(id) {
    return this.#call("GET", `predictions/${id}`);
  }

  /** Ask for a prediction. @param {object} fields its input */
  submit(fields) {
    return this.#call("POST", MODEL, fields);
  }

  /** End a prediction; what has ended already stays as it is. */
  cancel(id) {
    return this.#call("POST", `predictions/${id}/cancel`);
  }

  /** Return what the server found in a file that was sent: its exact duration, above all. */
  describe(fileId) {
    return this.#call("GET", `media/${fileId}`);
  }

  /**
   * Send a file; returns its id.
   *
   * @param {File} file
   * @param {(fraction: number) => void} onProgress
   * @param {AbortSignal} signal
   */
  async upload(file, onProgress, signal) {
    const form = new FormData();
    form.append("file", file, file.name);
    const send = () => this.#send("media/upload/binary", form, onProgress, signal);
    return (await this.#answered(send)).id;
  }

  /**
   * Wait for a prediction's end; returns it as it then is.
   *
   * @param {string} id
   * @param {(state: object) => void} onState called with what each answer says
   */
  async wait(id, onState) {
    let failures = 0;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * PAUSE_GROWTH, MAX_PAUSE_MS)) {
      try {
        const state = await this.prediction(id);
        failures = 0;
        onState(state);
        if (!["created", "processing"].includes(state.status)) return state;
      } catch (error) {
        failures += 1;
        if ((error.status && error.status < 500) || failures >= MAX_FAILURES) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Return a result's file. @param {string} url as the server gave it */
  async file(url) {
    // Behind a proxy the server may know itself by another name than this page does.
    const path = new URL(url, BASE).pathname.match(/\/(files\/.*)$/)?.[1] ?? "";
    const response = await this.#fetch(new URL(`../../${path}`, BASE));
    if (!response.ok) throw await refusalOf(response);
    return response.blob();
  }

  #call(method, path, json) {
    const body = json && JSON.stringify(json);
    const headers = json ? { "Content-Type": "application/json" } : {};
    return this.#answered(() => this.#fetch(new URL(path, BASE), { method, body, headers }));
  }

  /** Return an answer's data, and ask for a token where one is missing. */
  async #answered(send) {
    for (;;) {
      const response = await send();
      if (response.ok) return (await response.json()).data;
      if (response.status !== 401) throw await refusalOf(response);
      this.#token = await this.#askToken(Boolean(this.#token));
      sessionStorage.setItem("token", this.#token);
      if (!this.#token) throw await refusalOf(response);
    }
  }

  async #fetch(url, options = {}) {
    try {
      return await fetch(url, { ...options, headers: { ...options.headers, ...this.#identity() } });
    } catch {
      throw unreachable();
    }
  }

  /** Send a form; unlike fetch, XMLHttpRequest tells how far it is. */
  #send(path, form, onProgress, signal) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const abort = () => request.abort();
      request.open("POST", new URL(path, BASE));
      for (const [name, value] of Object.entries(this.#identity())) {
        request.setRequestHeader(name, value);
      }
      request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
      request.onload = () =>
        resolve(new Response(request.responseText, { status: request.status }));
      request.onerror = () => reject(unreachable());
      request.onabort = () => reject(new DOMException("It was cancelled.", "AbortError"));
      request.onloadend = () => signal.removeEventListener("abort", abort);
      signal.addEventListener("abort", abort);
      request.send(form);
    });
  }

  #identity() {
    return this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
  }
}

function unreachable() {
  return new Refusal(0, "The server does not answer. Is `reapaint serve` still running?");
}

async function refusalOf(response) {
  let said = "";
  try {
    said = (await response.json()).message;
  } catch {
    // Something that stands between, such as a proxy, answered.
  }
  return new Refusal(response.status, said || `The server answered ${response.status}.`);
}
