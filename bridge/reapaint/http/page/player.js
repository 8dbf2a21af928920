import { clamp } from "./times.js";

/** How long one version is turned into another: short enough to be at once, without a click. */
const FADE_S = 0.01;
/** Sound is scheduled this far ahead, so that both versions meet at the very same sample. */
const LEAD_S = 0.02;

/**
 * Plays one of several versions of a recording, and changes between them without a gap.
 *
 * The versions are AudioBuffers of one timeline. To wavesurfer.js it is a media element; time
 * stands still in it until `play`, and its clock is that of its AudioContext.
 */
export class Player extends EventTarget {
  #context;
  #output;
  #buffers = new Map();
  #name = "";
  #voice = null;
  #offset = 0;
  #startedAt = 0;
  #changedAt = 0;
  #loop = null;
  #duration = 0;

  /** @param {BaseAudioContext} context where the sound goes */
  constructor(context) {
    super();
    this.#context = context;
    this.#output = context.destination;
  }

  /** Name of the version that is heard. */
  get version() {
    return this.#name;
  }

  has(name) {
    return this.#buffers.has(name);
  }

  /** Let a version be chosen; the first one says how long all are. @param {AudioBuffer} buffer */
  add(name, buffer) {
    this.#buffers.set(name, buffer);
    if (this.#duration) return;
    this.#duration = buffer.duration;
    this.#tell("durationchange");
  }

  /** Forget a version; the one that is heard stays. */
  remove(name) {
    if (name !== this.#name) this.#buffers.delete(name);
  }

  /** Forget everything. */
  reset() {
    this.pause();
    this.#buffers.clear();
    this.#name = "";
    this.#offset = 0;
    this.#loop = null;
    this.#duration = 0;
    this.#tell("durationchange", "timeupdate");
  }

  /** Hear another version from now on, at the same place. */
  choose(name) {
    if (name === this.#name || !this.#buffers.has(name)) return;
    this.#name = name;
    if (!this.#voice) return;
    // A change that is under way comes to its end first: fades that overlap would be heard.
    const at = Math.max(this.#context.currentTime + LEAD_S, this.#changedAt);
    this.#changedAt = at + FADE_S;
    fade(this.#voice, 1, 0, at);
    this.#voice.source.stop(at + FADE_S);
    this.#begin(at, this.#positionAt(at), true);
  }

  /** Play `[start, end]` in seconds again and again; null ends that. */
  set loop(span) {
    this.#offset = this.currentTime;
    this.#loop = span;
    if (this.#voice) this.#restart();
  }

  get loop() {
    return this.#loop;
  }

  play() {
    if (this.#voice || !this.#buffers.has(this.#name)) return;
    if (this.#offset >= this.#duration) this.#offset = 0;
    this.#restart();
    this.#tell("play", "playing");
  }

  pause() {
    if (!this.#voice) return;
    const at = this.currentTime;
    this.#silence();
    this.#offset = at;
    this.#tell("pause", "timeupdate");
  }

  // What wavesurfer.js asks of a media element

  get paused() {
    return !this.#voice;
  }

  get ended() {
    return !this.#voice && this.#offset >= this.#duration;
  }

  get duration() {
    return this.#duration;
  }

  get currentTime() {
    return this.#voice ? this.#positionAt(this.#context.currentTime) : this.#offset;
  }

  set currentTime(seconds) {
    this.#offset = clamp(seconds, 0, this.#duration);
    if (this.#voice) this.#restart();
    this.#tell("seeking", "timeupdate", "seeked");
  }

  get readyState() {
    return 4;
  }

  seeking = false;
  volume = 1;
  muted = false;
  playbackRate = 1;
  src = "";
  currentSrc = "";
  load() {}
  removeAttribute() {}
  canPlayType() {
    return "";
  }

  // Voices

  #positionAt(time) {
    const position = this.#offset + Math.max(time - this.#startedAt, 0);
    if (!this.#loop) return Math.min(position, this.#duration);
    const [start, end] = this.#loop;
    return position < end ? position : start + ((position - start) % (end - start));
  }

  #restart() {
    this.#silence();
    if (this.#loop && this.#offset >= this.#loop[1]) this.#offset = this.#loop[0];
    this.#startedAt = this.#context.currentTime + LEAD_S;
    this.#begin(this.#startedAt, this.#offset, false);
  }

  #begin(at, offset, fadesIn) {
    const source = new AudioBufferSourceNode(this.#context, {
      buffer: this.#buffers.get(this.#name),
      loop: Boolean(this.#loop),
      loopStart: this.#loop ? this.#loop[0] : 0,
      loopEnd: this.#loop ? this.#loop[1] : 0,
    });
    const gain = new GainNode(this.#context);
    const voice = { source, gain };
    source.connect(gain).connect(this.#output);
    if (fadesIn) fade(voice, 0, 1, at);
    source.onended = () => {
      gain.disconnect();
      if (this.#voice === voice) this.#finish();
    };
    source.start(at, offset);
    this.#voice = voice;
  }

  #silence() {
    const voice = this.#voice;
    this.#voice = null;
    this.#changedAt = 0;
    voice?.source.stop();
  }

  #finish() {
    this.#voice = null;
    this.#offset = this.#duration;
    this.#tell("timeupdate", "pause", "ended");
  }

  #tell(...types) {
    for (const type of types) this.dispatchEvent(new Event(type));
  }
}

function fade({ gain }, from, to, at) {
  gain.gain.setValueAtTime(from, at);
  gain.gain.linearRampToValueAtTime(to, at + FADE_S);
}
