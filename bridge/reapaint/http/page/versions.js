import { decode, outline, sizeOf } from "./sound.js";

/** How much decoded sound is kept at hand; what is beyond is decoded again when it is wanted. */
const KEPT_BYTES = 1 << 30;

/**
 * The original and its takes: a list to choose from, and what is heard and seen of each.
 *
 * A "show" event tells that another one is heard; its `detail` is its outline.
 */
export class Versions extends EventTarget {
  #list;
  #player;
  #context;
  #versions = [];
  #decoded = new Map();
  #wanted = null;
  #count = 0;
  #keptBytes;

  /**
   * @param {HTMLElement} list
   * @param {import("./player.js").Player} player
   * @param {BaseAudioContext} context
   * @param {number} keptBytes
   */
  constructor(list, player, context, keptBytes = KEPT_BYTES) {
    super();
    this.#keptBytes = keptBytes;
    this.#list = list;
    this.#player = player;
    this.#context = context;
    list.addEventListener("change", (event) => this.#chooseNamed(event.target.value));
  }

  /** Begin anew, with a recording. @param {File} file @param {AudioBuffer | null} buffer */
  open(file, buffer) {
    for (const version of this.#versions) this.#drop(version);
    this.#versions = [];
    this.#decoded.clear();
    this.#wanted = null;
    this.#count = 0;
    const original = this.#append({ name: "original", title: "Original", blob: file, note: "" });
    if (!buffer) return original.row.remove();
    this.#keep(original, buffer);
    return this.choose(original);
  }

  /**
   * Add a take.
   *
   * @param {Blob} blob
   * @param {{note: string, fileName: (number: number) => string, onSeed: () => void}} about
   */
  async add(blob, about) {
    this.#count += 1;
    const number = this.#count;
    const version = this.#append({
      name: `take-${number}`,
      title: `Take ${number}`,
      blob,
      note: about.note,
    });
    const link = make("a", { className: "button", textContent: "Download" });
    link.href = version.url = URL.createObjectURL(blob);
    link.download = about.fileName(number);
    link.ariaLabel = `Download take ${number}`;
    const again = make("button", { type: "button", textContent: "Use its seed" });
    again.ariaLabel = `Use its seed: take ${number}`;
    again.addEventListener("click", about.onSeed);
    const remove = make("button", { type: "button", textContent: "Remove" });
    remove.ariaLabel = `Remove take ${number}`;
    remove.addEventListener("click", () => this.#remove(version));
    version.row.append(link, again, remove);
    await this.#load(version);
    return version;
  }

  /** Hear a version, from where another one is now. */
  async choose(version) {
    this.#wanted = version;
    version.radio.checked = true;
    const isThere = await this.#load(version);
    if (!isThere || this.#wanted !== version) return;
    this.#player.choose(version.name);
    this.#evict();
    this.dispatchEvent(new CustomEvent("show", { detail: version.outline }));
  }

  /** Hear the original, 0, or a take by its number. */
  chooseNumbered(number) {
    this.#chooseNamed(number ? `take-${number}` : "original");
  }

  /** Hear the next version, or the previous one. @param {1 | -1} by */
  step(by) {
    const shown = this.#versions.filter((each) => each.row.isConnected);
    const place = shown.indexOf(this.#wanted) + by;
    if (shown.length) this.choose(shown[(place + shown.length) % shown.length]);
  }

  #chooseNamed(name) {
    const version = this.#versions.find((each) => each.name === name);
    if (version?.row.isConnected) this.choose(version);
  }

  #append(version) {
    version.radio = make("input", { type: "radio", name: "version", value: version.name });
    const label = make("label");
    label.append(version.radio, version.title);
    const key = version.name.match(/-(\d)$/)?.[1] ?? (version.name === "original" ? "0" : "");
    if (key) {
      version.radio.setAttribute("aria-keyshortcuts", key);
      label.append(make("kbd", { textContent: key, ariaHidden: "true" }));
    }
    version.row = make("div", { className: "version" });
    version.row.append(label, make("span", { className: "quiet", textContent: version.note }));
    this.#list.append(version.row);
    this.#versions.push(version);
    return version;
  }

  /** Decode a version unless that was done; tells whether it can be heard. */
  async #load(version) {
    if (this.#player.has(version.name)) return true;
    const buffer = await decode(this.#context, version.blob);
    if (!buffer) {
      version.radio.disabled = true;
      return false;
    }
    if (this.#versions.includes(version)) this.#keep(version, buffer);
    return true;
  }

  #keep(version, buffer) {
    version.outline ??= outline(buffer);
    this.#player.add(version.name, buffer);
    this.#decoded.set(version, sizeOf(buffer));
    this.#evict();
  }

  /** Let go of what was decoded first, but not of what is heard or about to be. */
  #evict() {
    let total = [...this.#decoded.values()].reduce((sum, size) => sum + size, 0);
    for (const [version, size] of this.#decoded) {
      if (total <= this.#keptBytes) return;
      if (version === this.#wanted || version.name === this.#player.version) continue;
      this.#player.remove(version.name);
      this.#decoded.delete(version);
      total -= size;
    }
  }

  async #remove(version) {
    const place = this.#versions.indexOf(version);
    if (this.#wanted === version) await this.choose(this.#versions[place - 1]);
    this.#versions.splice(place, 1);
    this.#decoded.delete(version);
    this.#player.remove(version.name);
    this.#drop(version);
    this.#versions[place - 1].radio.focus();
  }

  #drop(version) {
    version.row.remove();
    if (version.url) URL.revokeObjectURL(version.url);
  }
}

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
