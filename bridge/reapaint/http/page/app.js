import { Gateway } from "./gateway.js";
import { Job } from "./job.js";
import { listenToKeys } from "./keys.js";
import { Player } from "./player.js";
import { Settings } from "./settings.js";
import { decode } from "./sound.js";
import { clamp, clock, spoken } from "./times.js";
import { Versions } from "./versions.js";
import { Waveform } from "./waveform.js";

/** What is heard before and after the selection when it is looped. */
const LOOP_MARGIN_S = 1.5;
/** A loop follows the selection when that has come to rest. */
const SETTLE_MS = 200;

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((each) => [each.id, each]),
);
const context = new AudioContext();
const player = new Player(context);
const waveform = new Waveform(page.waveform, player);
const versions = new Versions(page.versions, player, context);
const settings = new Settings(page.form, page.more, page.ignored);
const gateway = new Gateway(askToken);

/** The recording: its file, the server's id for it, and what the server found in it. */
let source = null;
let reading = null;
let job = null;
let settleTimer = 0;

// The recording

async function open(file) {
  complain("");
  const trouble = troubleWith(file);
  if (trouble) return complain(trouble);
  job?.cancel();
  page["file-name"].textContent = `Reading ${file.name}`;
  page.work.hidden = true;
  player.pause();
  source = null;
  reading = file;
  const buffer = await decode(context, file);
  if (reading !== file) return;
  source = { file, id: "", facts: null, shownS: 0 };
  page.work.hidden = false;
  page.start.value = page.end.value = "";
  page.remarks.replaceChildren();
  say("");
  player.reset();
  showPicture(false);
  await versions.open(file, buffer);
  settings.format = file.name.toLowerCase().endsWith(".flac") ? "flac" : "wav";
  page["file-name"].textContent = buffer
    ? `${file.name}, ${clock(buffer.duration)}`
    : `${file.name}: this browser can't show or play it, but it can be repainted.`;
}

function troubleWith(file) {
  const limit = settings.offer?.max_upload_bytes;
  if (!file.size) return `${file.name} is empty.`;
  if (limit && file.size > limit) {
    const mib = (size) => Math.floor(size / 2 ** 20);
    return `${file.name} has ${mib(file.size)} MiB; this server takes ${mib(limit)} MiB.`;
  }
  return "";
}

/** Draw the version that is heard; where the original can't be, a take is the first to show. */
async function draw(outline) {
  if (!source) return;
  if (source.shownS) {
    await waveform.draw(outline);
    return;
  }
  const typed = typedSelection();
  source.shownS = player.duration;
  showPicture(true);
  await waveform.open(outline, player.duration);
  if (typed[1] > typed[0]) waveform.selection = typed;
}

function showPicture(isThere) {
  page.listening.hidden = page.waveform.hidden = !isThere;
  page["start-here"].hidden = page["end-here"].hidden = !isThere;
  page.loop.checked = false;
  page.zoom.value = 0;
  page.position.max = source.shownS;
}

// The selection: the two fields have the truth, rounded as it is shown

/** Return the fields' start and end in seconds; NaN where one is empty. */
function typedSelection() {
  return [page.start.valueAsNumber, page.end.valueAsNumber];
}

function showSelection() {
  const [start, end] = waveform.selection;
  page.start.value = start.toFixed(3);
  page.end.value = end.toFixed(3);
  followSelection();
}

function selectTyped() {
  if (source.shownS && page.start.value && page.end.value) {
    waveform.selection = typedSelection();
  } else followSelection();
}

function followSelection() {
  const [start, end] = typedSelection();
  const length = end - start;
  page.length.textContent = length > 0 ? `${length.toFixed(3)} s` : "";
  clearTimeout(settleTimer);
  if (page.loop.checked) settleTimer = setTimeout(loop, SETTLE_MS);
}

function edgeHere(name) {
  const [start, end] = waveform.selection;
  const here = player.currentTime;
  if (name === "start") waveform.selection = [here, Math.max(end, here)];
  else waveform.selection = [Math.min(start, here), here];
}

// Listening

async function togglePlay() {
  if (!player.paused) player.pause();
  else {
    await context.resume();
    player.play();
  }
}

function seek(seconds) {
  player.currentTime += seconds;
}

function loop() {
  const [start, end] = waveform.selection;
  player.loop = page.loop.checked
    ? [Math.max(start - LOOP_MARGIN_S, 0), Math.min(end + LOOP_MARGIN_S, player.duration)]
    : null;
}

function followPlayer() {
  const seconds = player.currentTime;
  page.clock.textContent = clock(seconds);
  page.position.value = seconds;
  page.position.ariaValueText = spoken(seconds);
  page.play.textContent = player.paused ? "Play" : "Pause";
  if (!player.paused) requestAnimationFrame(followPlayer);
}

// Repainting

async function run() {
  if (job || !source) return;
  complain("");
  if (!settings.check() || !checkSelection()) return;
  job = new Job(gateway);
  const asked = source;
  showBusy(true);
  try {
    const [start, end] = typedSelection();
    const fields = { ...settings.fields(), mask_start_seconds: start, mask_end_seconds: end };
    const result = await job.run(asked, fields, showProgress);
    if (source === asked) await (result ? showResult(result) : say("Cancelled."));
  } catch (error) {
    say("");
    complain(error.message);
  } finally {
    job = null;
    showBusy(false);
  }
}

function checkSelection() {
  const [start, end] = typedSelection();
  const isGood = start >= 0 && end > start;
  if (!isGood) {
    complain("Say where to repaint: a start, and an end that is later, in seconds.");
    page.start.focus();
  }
  return isGood;
}

async function showResult(result) {
  const stem = source.file.name.replace(/\.[^.]*$/, "");
  const ending = new URL(result.takes[0].url).pathname.match(/\.\w+$/)?.[0] ?? "";
  const added = [];
  for (const [place, take] of result.takes.entries()) {
    added.push(
      await versions.add(result.files[place], {
        note: describe(result, take),
        fileName: (number) => `${stem}-take-${number}${ending}`,
        onSeed: () => {
          settings.seed = take.seed;
        },
      }),
    );
  }
  showRemarks([...result.warnings, ...result.notes]);
  say(added.length > 1 ? `Done: ${added.length} takes.` : "Done.");
  await versions.choose(added[0]);
}

function describe({ backend, engine_model: model, mode }, { seed }) {
  const made = [backend, model, mode].filter((word, place, all) => all.indexOf(word) === place);
  return `seed ${seed}, ${made.join(", ")}`;
}

function showRemarks(remarks) {
  page.remarks.replaceChildren(
    ...remarks.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
}

function showBusy(isBusy) {
  const hadFocus = document.activeElement === page.cancel;
  page.run.ariaDisabled = String(isBusy);
  page.cancel.hidden = page.progress.hidden = !isBusy;
  page.progress.value = 0;
  if (hadFocus && !isBusy) page.run.focus();
}

function showProgress(stage, fraction) {
  page.progress.value = fraction;
  say(stage);
}

/** Say something that screen readers repeat, once. */
function say(text) {
  if (page.status.textContent !== text) page.status.textContent = text;
}

function complain(text) {
  page.alert.textContent = text;
  page.alert.hidden = !text;
}

function cancel() {
  job?.cancel().catch((error) => complain(error.message));
  return Boolean(job);
}

function askToken(wasWrong) {
  page["token-wrong"].textContent = wasWrong ? "The server did not take that one." : "";
  return new Promise((resolve) => {
    const dialog = page["token-dialog"];
    const take = () => {
      resolve(dialog.returnValue && page.token.value.trim());
      page.token.value = "";
    };
    dialog.addEventListener("close", take, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

// What people do

/** Return what a key does where there is a recording; it tells whether there was. */
function withSource(act) {
  return (...given) => {
    if (source) act(...given);
    return Boolean(source);
  };
}

page.file.addEventListener("change", () => page.file.files[0] && open(page.file.files[0]));
for (const [type, isOver] of [
  ["dragover", true],
  ["dragleave", false],
  ["drop", false],
]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    page.drop.classList.toggle("over", isOver);
    if (type === "drop" && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
}
waveform.addEventListener("select", showSelection);
page.start.addEventListener("change", selectTyped);
page.end.addEventListener("change", selectTyped);
page["start-here"].addEventListener("click", () => edgeHere("start"));
page["end-here"].addEventListener("click", () => edgeHere("end"));
page.zoom.addEventListener("input", () => waveform.zoom(page.zoom.valueAsNumber));
page.play.addEventListener("click", togglePlay);
page.loop.addEventListener("change", loop);
page.position.addEventListener("input", () => {
  player.currentTime = clamp(page.position.valueAsNumber, 0, player.duration);
});
for (const type of ["play", "pause", "timeupdate"]) player.addEventListener(type, followPlayer);
versions.addEventListener("show", ({ detail }) => draw(detail));
page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
page.cancel.addEventListener("click", cancel);
listenToKeys(page.shortcuts, {
  cancel,
  run: withSource(run),
  play: withSource(togglePlay),
  chooseNumbered: withSource((number) => versions.chooseNumbered(number)),
  step: withSource((by) => versions.step(by)),
  seek: withSource(seek),
  startHere: withSource(() => edgeHere("start")),
  endHere: withSource(() => edgeHere("end")),
  loop: () => {
    page.loop.checked = !page.loop.checked;
    loop();
    return true;
  },
});

try {
  settings.offer = await gateway.offer();
} catch (error) {
  complain(error.message);
}
