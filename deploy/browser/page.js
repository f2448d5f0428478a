// The page: recordings and the microphone in, tags over time out.

import { Student, Windows, decode, resample } from "./student.js";

const SHOWN = 12; // classes
const HISTORY_SECONDS = 60; // of the microphone
const REDRAW_MILLISECONDS = 150;
const COLUMNS = 1000; // of the picture of the mel
const COLOURS = ["#090c22", "#361967", "#89286e", "#db544a", "#f9a13e", "#fdf3be"]; // quiet to loud
const FORMULA = /^[=+\-@\t\r]./s; // how a cell begins that a spreadsheet evaluates

const element = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((found) => [found.id, found]),
);
let student; // a promise of it, while it is loaded
let rows = []; // {start, end, probabilities, mel}, one per window
let recording = null; // the open file; null: the microphone
let stop = () => {}; // ends what is running
let drawn = 0; // when, in ms
let interval = REDRAW_MILLISECONDS; // longer where drawing takes long
let pending = null;

async function load(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  const found = await Student.of(new Uint8Array(await answer.arrayBuffer()));
  const d = found.description;
  element.about.textContent =
    `${d.name} · ${d.model}, ${d.precision}, ${d.parameters.toLocaleString("en")} parameters · ` +
    `windows of ${d.clip_seconds} s at ${d.sample_rate} Hz · ${d.classes.length} classes`;
  element.hop.value = element.hop.max = d.clip_seconds;
  return found;
}

/** Stops the last task and runs this one; an error is one line on the page.
 *
 * `task` gets current(), which is false once it is stopped, and atEnd(does), for what follows then.
 */
async function run(task) {
  stop();
  let current = true;
  const ends = [];
  const end = (stop = () => {
    if (current) ends.forEach((does) => does());
    current = false;
  });
  element.error.hidden = true;
  try {
    await task(() => current, (does) => (current ? ends.push(does) : does()));
  } catch (error) {
    if (!current) return;
    end();
    element.error.textContent = error.message ?? String(error);
    element.error.hidden = false;
  }
}

function choose(name) {
  student = load(name);
  run(async () => {
    await student;
    if (recording) open(recording);
    else clear();
  });
}

function clear() {
  rows = [];
  element.result.hidden = true;
  element.drop.hidden = false;
  element.save.disabled = true;
}

function begin(title) {
  rows = [];
  delete element.result.dataset.state;
  element.title.textContent = title;
  element.drop.hidden = true;
  element.result.hidden = false;
  element.save.disabled = true;
  draw();
}

function hopOf(description) {
  const hop = Number(element.hop.value);
  if (!(hop >= 0.05 && hop <= description.clip_seconds)) {
    throw new Error(`a window every ${element.hop.value} s: expected 0.05 to ${description.clip_seconds}`);
  }
  return hop;
}

function open(file) {
  run(async (current) => {
    recording = file;
    const found = await student;
    URL.revokeObjectURL(element.audio.src);
    element.audio.src = URL.createObjectURL(file);
    element.audio.hidden = false;
    begin(file.name);
    const hop = hopOf(found.description);
    try {
      const samples = await decode(file, found.description.sample_rate);
      let rested = performance.now();
      for await (const row of found.tag(samples, hop)) {
        if (!current()) return;
        rows.push(row);
        drawSoon();
        if (performance.now() - rested < REDRAW_MILLISECONDS) continue;
        await new Promise((go) => setTimeout(go)); // the student runs in the thread of the page
        rested = performance.now();
      }
    } catch (error) {
      throw new Error(`${file.name}: ${error.message}`);
    }
    element.save.disabled = false;
    element.result.dataset.state = "done";
  });
}

function listen() {
  run(async (current, atEnd) => {
    recording = null;
    const found = await student;
    const { sample_rate: rate, channels, clip_seconds: seconds } = found.description;
    const hop = hopOf(found.description);
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    atEnd(() => stream.getTracks().forEach((track) => track.stop()));
    const context = new AudioContext();
    atEnd(() => context.close());
    await context.audioWorklet.addModule("microphone.js");
    if (!current()) return;
    const node = new AudioWorkletNode(context, "microphone");
    const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
    source.connect(node).connect(context.destination); // which gets silence
    element.microphone.setAttribute("aria-pressed", "true");
    atEnd(() => element.microphone.setAttribute("aria-pressed", "false"));
    element.audio.pause();
    element.audio.hidden = true;
    begin("Microphone");

    const windows = new Windows(channels, context.sampleRate, seconds, hop);
    let arrived = () => {};
    atEnd(() => arrived());
    node.port.onmessage = ({ data }) => {
      windows.push(data);
      arrived();
    };
    for (let index = 0; current(); index++) {
      let window;
      while (current() && !(window = windows.next())) await new Promise((go) => (arrived = go));
      if (!current()) return;
      const start = index * hop;
      const resampled = await resample(window, seconds, context.sampleRate, rate);
      const predicted = await found.predict(resampled);
      if (!current()) return;
      rows.push({ start, end: start + seconds, ...predicted });
      rows = rows.filter((row) => row.start > start - HISTORY_SECONDS);
      element.save.disabled = false;
      drawSoon();
    }
  });
}

// Drawing ------------------------------------------------------------------------------------------

function drawSoon() {
  pending ??= setTimeout(() => {
    pending = null;
    draw();
  }, Math.max(0, drawn + interval - performance.now()));
}

async function draw() {
  const found = await student;
  const began = performance.now();
  const { classes } = found.description;
  const peaks = classes.map((_, k) =>
    rows.reduce((peak, row) => Math.max(peak, row.probabilities[k]), 0),
  );
  const order = classes.map((_, k) => k).sort((a, b) => peaks[b] - peaks[a]).slice(0, SHOWN);
  const tags = rows.map((row) => found.tags(row.probabilities));
  const [first, last] = span();
  const lines = [];
  if (rows[0]?.mel) lines.push(node("span", "name", "mel"), picture(first, last));
  for (const k of order) {
    const tagged = tags.some((chosen) => chosen.includes(k)) ? " tagged" : "";
    const name = node("span", `name${tagged}`, classes[k]);
    name.title = classes[k];
    const threshold = found.single ? null : found.thresholds[k];
    const peak = node("span", `peak${tagged}`, peaks[k].toFixed(2));
    lines.push(name, strip(k, tags, first, last, threshold), peak);
  }
  const axis = node("div", "axis");
  axis.append(node("span", "", clock(first)), node("span", "", clock(last)));
  const time = node("div", "time");
  time.append(document.createElement("i"));
  const count = order.length + (rows[0]?.mel ? 1 : 0);
  time.style.gridRow = `1 / span ${count || 1}`;
  let row = 0;
  for (const line of lines) line.style.gridRow = line.classList.contains("name") ? ++row : row;
  time.onclick = (event) => {
    if (recording) element.audio.currentTime = (event.offsetX / time.clientWidth) * last;
  };
  axis.style.gridRow = row + 1;
  element.chart.replaceChildren(...lines, time, axis);
  element.more.textContent =
    (found.single ? "none: the tag is the most probable class" : "") +
    (classes.length > SHOWN ? ` · the ${SHOWN} most probable of ${classes.length} classes` : "");
  element.more.parentElement.firstChild.style.display = found.single ? "none" : "";
  const table = document.createDocumentFragment();
  rows.forEach((row, n) => {
    const line = document.createElement("tr");
    line.append(
      node("td", "", `${clock(row.start)} to ${clock(row.end)}`),
      node("td", "", text(found, row, tags[n])),
    );
    table.append(line);
  });
  element.windows.replaceChildren(table);
  showNow();
  drawn = performance.now();
  interval = Math.max(REDRAW_MILLISECONDS, 4 * (drawn - began));
}

/** The tags at the playhead; of the microphone, the last ones. */
async function showNow() {
  const found = await student;
  const [first, last] = span();
  const at = recording ? element.audio.currentTime : last;
  const line = element.chart.querySelector(".time i");
  if (line) line.style.left = `${(100 * (at - first)) / Math.max(last - first, 1e-9)}%`;
  const row = rows.findLast(({ start }) => start <= at);
  if (!row) {
    element.now.textContent = recording ? "…" : "listening …";
    return;
  }
  const times = node("span", "", `  ${clock(row.start)} to ${clock(row.end)}`);
  element.now.replaceChildren(text(found, row, found.tags(row.probabilities)), times);
}

function text(found, row, chosen) {
  const { classes } = found.description;
  return chosen.map((k) => `${classes[k]} ${row.probabilities[k].toFixed(2)}`).join(", ") || "–";
}

function span() {
  return rows.length ? [rows[0].start, rows.at(-1).end] : [0, 0];
}

/** The end of a row's share of the time: the start of the next one, or the end. */
function shareEnd(n) {
  return rows[n + 1]?.start ?? rows[n].end;
}

function node(tag, kind, content = "") {
  const found = document.createElement(tag);
  found.className = kind;
  found.textContent = content;
  return found;
}

/** Class k: a bar per window, its height the probability; tags are coloured. */
function strip(k, tags, first, last, threshold) {
  const name = "http://www.w3.org/2000/svg";
  const found = document.createElementNS(name, "svg");
  found.setAttribute("class", "strip");
  found.setAttribute("viewBox", `0 0 ${Math.max(last - first, 1e-9)} 1`);
  found.setAttribute("preserveAspectRatio", "none");
  for (const kind of ["", "tag"]) {
    const bars = rows.map((row, n) =>
      tags[n].includes(k) === (kind === "tag")
        ? `M${row.start - first} 1V${1 - row.probabilities[k]}H${shareEnd(n) - first}V1Z`
        : "",
    );
    const path = document.createElementNS(name, "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", bars.join(""));
    found.append(path);
  }
  if (threshold !== null) {
    const line = document.createElementNS(name, "line");
    const places = { x1: 0, x2: last - first, y1: 1 - threshold, y2: 1 - threshold };
    Object.entries(places).forEach(([key, value]) => line.setAttribute(key, value));
    found.append(line);
  }
  return found;
}

/** The mel: time to the right, frequency upwards; colours from its 1st to its 99th percentile. */
function picture(first, last) {
  const { bands } = rows[0].mel;
  const canvas = node("canvas", "strip");
  [canvas.width, canvas.height] = [COLUMNS, bands];
  const values = new Float32Array(COLUMNS * bands);
  const seconds = rows.map((row) => row.end - row.start).reduce((a, b) => Math.max(a, b));
  for (let column = 0, n = 0; column < COLUMNS; column++) {
    const at = first + ((column + 0.5) / COLUMNS) * (last - first);
    while (n + 1 < rows.length && rows[n + 1].start <= at) n++;
    const { data, frames } = rows[n].mel;
    const frame = Math.min(frames - 1, Math.floor(((at - rows[n].start) / seconds) * frames));
    values.set(data.subarray(frame * bands, (frame + 1) * bands), column * bands);
  }
  const sorted = values.slice().sort();
  const low = sorted[Math.floor(0.01 * sorted.length)];
  const range = Math.max(sorted[Math.floor(0.99 * sorted.length)] - low, 1e-9);
  const image = new ImageData(COLUMNS, bands);
  values.forEach((value, n) => {
    const place = ((bands - 1 - (n % bands)) * COLUMNS + Math.floor(n / bands)) * 4;
    image.data.set([...colour((value - low) / range), 255], place);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const PALETTE = COLOURS.map((text) => [1, 3, 5].map((n) => parseInt(text.slice(n, n + 2), 16)));

function colour(level) {
  const place = Math.min(Math.max(level, 0), 1) * (PALETTE.length - 1);
  const below = Math.min(Math.floor(place), PALETTE.length - 2);
  return PALETTE[below].map((value, n) => value + (place - below) * (PALETTE[below + 1][n] - value));
}

/** 12:34.50 */
function clock(seconds) {
  const hundredths = Math.round(100 * seconds);
  const minutes = String(Math.floor(hundredths / 6000)).padStart(2, "0");
  return `${minutes}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

/** The lines of tag_audio.py --format csv. */
async function save() {
  const { classes } = (await student).description;
  const cell = (value) => {
    const safe = FORMULA.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const title = element.title.textContent;
  const lines = rows.map(({ start, end, probabilities }) =>
    [cell(title), start.toFixed(3), end.toFixed(3), ...probabilities.map((p) => p.toFixed(6))].join(","),
  );
  const head = ["recording", "start", "end", ...classes.map(cell)].join(",");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([[head, ...lines, ""].join("\n")], { type: "text/csv" }));
  link.download = `${title.replace(/\.\w+$/, "")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Events -------------------------------------------------------------------------------------------

element.file.onclick = () => (element.file.value = ""); // the same file again is a change, too
element.file.onchange = () => element.file.files[0] && open(element.file.files[0]);
element.hop.onchange = () => recording && open(recording);
element.students.onchange = () => choose(element.students.value);
element.save.onclick = save;
element.microphone.onclick = () =>
  element.microphone.getAttribute("aria-pressed") === "true" ? stop() : listen();
for (const event of ["timeupdate", "seeked"]) element.audio.addEventListener(event, showNow);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", () => document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});

run(async () => {
  const names = await (await fetch("students.json")).json();
  element.students.append(...names.map((name) => new Option(name)));
  element.students.hidden = names.length < 2;
  choose(names[0]);
});
