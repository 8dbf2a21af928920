const STAGES = {
  queued: "Waiting for its turn",
  fetch: "Fetching the recording",
  starting: "Starting",
  load: "Loading the model",
  encode: "Listening to the recording",
  sample: "Making new sound",
  decode: "Making new sound",
  splice: "Joining old and new",
  write: "Writing the result",
  done: "Done",
};
/** A mask that ends so near to the end that is shown was meant to end there. */
const END_TOLERANCE_S = 0.0015;

/** One request's life: the recording is sent, the server works, the results come back. */
export class Job {
  #gateway;
  #sending = new AbortController();
  #id = "";

  /** @param {import("./gateway.js").Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
  }

  /** End it, whatever it is doing. */
  async cancel() {
    this.#sending.abort();
    if (this.#id) await this.#gateway.cancel(this.#id);
  }

  /**
   * Carry it out; returns the prediction and its files, or null where it was cancelled.
   *
   * @param {{file: File, id: string, facts: object, shownS: number}} source `id` and `facts` are
   *   filled in when it was sent; `shownS` is the duration that is shown, 0 where none is
   * @param {object} fields the settings' fields, with the mask's times as they are shown
   * @param {(stage: string, fraction: number) => void} onProgress
   */
  async run(source, fields, onProgress) {
    try {
      const prediction = await this.#submit(source, fields, onProgress);
      return prediction && (await this.#finish(prediction.id, onProgress));
    } catch (error) {
      if (error.name === "AbortError") return null;
      throw error;
    }
  }

  async #submit(source, fields, onProgress) {
    for (let isFirst = true; ; isFirst = false) {
      if (!source.id) await this.#send(source, onProgress);
      try {
        const mask = exactMask(fields, source);
        return await this.#gateway.submit({ ...fields, ...mask, audio: source.id });
      } catch (error) {
        // Uploads expire; the recording is sent again, once.
        if (error.status !== 404 || !isFirst) throw error;
        source.id = "";
      }
    }
  }

  async #send(source, onProgress) {
    const report = (fraction) => onProgress("Sending the recording", fraction);
    report(0);
    const id = await this.#gateway.upload(source.file, report, this.#sending.signal);
    source.facts = await this.#gateway.describe(id);
    source.id = id;
  }

  async #finish(id, onProgress) {
    this.#id = id;
    if (this.#sending.signal.aborted) await this.cancel();
    const end = await this.#gateway.wait(id, ({ progress }) => {
      const ahead = progress.stage === "queued" && progress.position;
      const stage = STAGES[progress.stage] ?? "Working";
      onProgress(ahead ? `${stage}; ${ahead} before it` : stage, progress.fraction);
    });
    if (end.status === "cancelled") return null;
    if (end.status !== "completed") throw new Error(end.error);
    onProgress("Fetching the result", 1);
    const files = await Promise.all(end.takes.map(({ url }) => this.#gateway.file(url)));
    return { ...end, files };
  }
}

/**
 * Return a mask that ends where the recording does, if that is what was meant.
 *
 * What is shown is rounded, and decoded at another rate than the recording's own: a mask that
 * ends a hair too late would make the recording longer.
 */
function exactMask({ mask_end_seconds: end }, { facts, shownS }) {
  const isToTheEnd = shownS && end > shownS - END_TOLERANCE_S;
  return isToTheEnd ? { mask_end_seconds: facts.duration_s } : {};
}
