import { clamp, spoken } from "./times.js";
import RegionsPlugin from "./vendor/wavesurfer/regions.esm.js";
import TimelinePlugin from "./vendor/wavesurfer/timeline.esm.js";
import WaveSurfer from "./vendor/wavesurfer/wavesurfer.esm.js";

/** The page's Content-Security-Policy names the hash of a style that holds this height. */
const HEIGHT_PX = 160;
const MIN_SELECTION_S = 0.01;
const MAX_PX_PER_S = 2000;
/** Browsers lay out nothing that is wider than about 33 million pixels. */
const MAX_WIDTH_PX = 3e7;
const KEY_STEP_S = 0.01;
/** Names a selection that is drawn with the pointer. */
const DRAWN = "drawn";

/**
 * The picture of a recording, and the selection on it.
 *
 * The selection's edges can be dragged, and are sliders for the keyboard: arrows move by a
 * hundredth of a second, with Shift by a tenth, Page Up and Down by a second, with Alt both
 * edges at once. A "select" event tells of every change.
 */
export class Waveform extends EventTarget {
  #surfer;
  #regions = RegionsPlugin.create();
  #region = null;
  #container;
  #duration = 0;

  /** @param {HTMLElement} container @param {import("./player.js").Player} player */
  constructor(container, player) {
    super();
    this.#container = container;
    this.#surfer = WaveSurfer.create({
      container,
      media: player,
      height: HEIGHT_PX,
      cursorWidth: 2,
      plugins: [this.#regions, TimelinePlugin.create({ height: 18 })],
      ...this.#colours(),
    });
    this.#regions.on("region-initialized", (region) => {
      // It begins wider than the pointer has moved, and would stay so.
      if (region.id === DRAWN) region.end = region.start;
    });
    this.#regions.on("region-created", (region) => this.#adopt(region));
    this.#regions.on("region-update", () => this.#show());
    this.#regions.enableDragSelection({ ...this.#look(), id: DRAWN });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#repaint());
  }

  /** The selection's start and end in seconds. */
  get selection() {
    return this.#region ? [this.#region.start, this.#region.end] : [0, 0];
  }

  set selection([start, end]) {
    const from = clamp(start, 0, this.#duration - Math.min(MIN_SELECTION_S, this.#duration));
    const to = clamp(end, Math.min(from + MIN_SELECTION_S, this.#duration), this.#duration);
    this.#region?.setOptions({ start: from, end: to });
    this.#show();
  }

  /** Show another recording, with its middle selected. @param {Float32Array[]} peaks */
  async open(peaks, duration) {
    this.#duration = duration;
    this.#region = null;
    this.#regions.clearRegions();
    await this.#surfer.load("", peaks, duration);
    this.zoom(0);
    const length = Math.min(2, duration / 3);
    const start = (duration - length) / 2;
    this.#regions.addRegion({ ...this.#look(), start, end: start + length });
  }

  /** Show how another version of the recording looks. @param {Float32Array[]} peaks */
  async draw(peaks) {
    const scroll = this.#surfer.getScroll();
    await this.#surfer.load("", peaks, this.#duration);
    this.#surfer.setScroll(scroll);
  }

  /** Magnify around the selection, from 0, where all can be seen, to 1. */
  zoom(amount) {
    const width = this.#container.clientWidth;
    const least = width / this.#duration;
    const most = Math.max(least, Math.min(MAX_PX_PER_S, MAX_WIDTH_PX / this.#duration));
    const pxPerS = least * (most / least) ** amount;
    this.#surfer.zoom(amount ? pxPerS : 0);
    const [start, end] = this.selection;
    this.#surfer.setScrollTime(clamp((start + end - width / pxPerS) / 2, 0, this.#duration));
  }

  #adopt(region) {
    if (this.#region && this.#region !== region) this.#region.remove();
    this.#region = region;
    region.setOptions({ color: this.#colour("--selection") });
    const [left, right] = region.element.querySelectorAll('[part*="region-handle"]');
    this.#makeSlider(left, "Start of the selection", (by) => [by, 0]);
    this.#makeSlider(right, "End of the selection", (by) => [0, by]);
    this.#show();
  }

  #makeSlider(handle, label, toEdges) {
    handle.tabIndex = 0;
    handle.role = "slider";
    handle.ariaLabel = label;
    handle.ariaOrientation = "horizontal";
    handle.addEventListener("keydown", (event) => {
      const by = this.#stepOf(event);
      if (by === 0) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.altKey) this.#move(by);
      else this.#stretch(...toEdges(by));
    });
  }

  #stepOf({ key, shiftKey }) {
    const small = shiftKey ? 10 * KEY_STEP_S : KEY_STEP_S;
    const steps = {
      ArrowLeft: -small,
      ArrowDown: -small,
      ArrowRight: small,
      ArrowUp: small,
      PageDown: -1,
      PageUp: 1,
      Home: -this.#duration,
      End: this.#duration,
    };
    return steps[key] ?? 0;
  }

  /** Move both edges, as far as there is room. */
  #move(by) {
    const [start, end] = this.selection;
    const room = clamp(by, -start, this.#duration - end);
    this.selection = [start + room, end + room];
  }

  #stretch(byStart, byEnd) {
    const [start, end] = this.selection;
    this.selection = [
      clamp(start + byStart, 0, end - MIN_SELECTION_S),
      clamp(end + byEnd, start + MIN_SELECTION_S, this.#duration),
    ];
  }

  /** Let the sliders say where they are, and others know. */
  #show() {
    if (!this.#region?.element) return;
    const handles = this.#region.element.querySelectorAll('[role="slider"]');
    this.selection.forEach((seconds, side) => {
      const handle = handles[side];
      handle.ariaValueMin = "0";
      handle.ariaValueMax = this.#duration.toFixed(3);
      handle.ariaValueNow = seconds.toFixed(3);
      handle.ariaValueText = spoken(seconds);
    });
    this.dispatchEvent(new Event("select"));
  }

  #look() {
    return { color: this.#colour("--selection"), minLength: MIN_SELECTION_S };
  }

  #colours() {
    return {
      waveColor: this.#colour("--wave"),
      progressColor: this.#colour("--wave-played"),
      cursorColor: this.#colour("--cursor"),
    };
  }

  #repaint() {
    this.#surfer.setOptions(this.#colours());
    this.#region?.setOptions({ color: this.#colour("--selection") });
  }

  #colour(name) {
    return getComputedStyle(this.#container).getPropertyValue(name).trim();
  }
}
