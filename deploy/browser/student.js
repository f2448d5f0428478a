// An exported student: its description, and the probabilities of each window of a recording. The
// front end is part of the ONNX file. The counterparts in Python: deploy/student.py, description.py,
// windows.py and tags.py.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // more require headers that a plain web server does not send

const ENTRY = "soundstill"; // key in the metadata of the file
const FORMAT = 1; // version of that entry
const METADATA = 14; // number of metadata_props in ModelProto, https://onnx.ai
const UNCALIBRATED = 0.5; // threshold of a file that stores none
const REST_SECONDS = 0.1; // a shorter rest of a recording gets no window

export class Student {
  static async of(bytes) {
    const description = describe(bytes);
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return new Student(session, description);
  }

  constructor(session, description) {
    this.session = session;
    this.description = description;
    this.single = description.task === "single_label";
    const stored = this.single ? null : description.thresholds;
    this.thresholds = stored ?? description.classes.map(() => (this.single ? 0 : UNCALIBRATED));
    this.names = ["probabilities", "mel"].filter((name) => session.outputNames.includes(name));
  }

  /** Of one window, an array of samples per channel: probabilities (K); mel, {data, frames, bands}. */
  async predict(channels) {
    const size = channels[0].length;
    const waveform = new Float32Array(channels.length * size);
    channels.forEach((samples, k) => waveform.set(samples, k * size));
    const input = new ort.Tensor("float32", waveform, [1, channels.length, size]);
    const found = await this.session.run({ waveform: input }, this.names);
    const [, , frames, bands] = found.mel?.dims ?? [];
    const mel = found.mel && { data: found.mel.data.slice(0, frames * bands), frames, bands };
    return { probabilities: [...found.probabilities.data], mel };
  }

  /** The predictions of a recording, window by window; the last one is padded with silence. */
  async *tag(recording, hop) {
    const { sample_rate: rate, channels, clip_seconds: seconds } = this.description;
    const mixed = mix(recording, channels);
    const length = mixed[0].length / rate;
    const rest = Math.min(REST_SECONDS, hop / 2);
    for (let k = 0; k === 0 || length - ((k - 1) * hop + seconds) > rest; k++) {
      const start = k * hop;
      const window = mixed.map((samples) => cut(samples, start * rate, seconds * rate));
      yield { start, end: Math.min(start + seconds, length), ...(await this.predict(window)) };
    }
  }

  /** Names of the tags, the most probable first. */
  tags(probabilities) {
    const order = probabilities.map((_, k) => k).sort((a, b) => probabilities[b] - probabilities[a]);
    const chosen = this.single ? order.slice(0, 1) : order;
    return chosen.filter((k) => probabilities[k] >= this.thresholds[k]);
  }
}

/** The samples of a file at a sample rate: the browser decodes and resamples. */
export async function decode(file, sampleRate) {
  const context = new OfflineAudioContext(1, 1, sampleRate);
  const buffer = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("this browser cannot decode it as audio");
  });
  return channelsOf(buffer);
}

/** The windows of a stream, such as the microphone's: arrays of samples per channel. */
export class Windows {
  constructor(channels, rate, seconds, hop) {
    this.channels = channels;
    this.rate = rate;
    this.hop = hop; // s
    this.size = round(seconds * rate);
    this.kept = Array.from({ length: channels }, () => new Float32Array(0));
    this.first = 0; // position of the first kept sample in the stream
    this.index = 0; // of the next window
  }

  push(blocks) {
    const mixed = blocks.map((block) => mix(block, this.channels));
    this.kept = this.kept.map((samples, k) => joined([samples, ...mixed.map((block) => block[k])]));
  }

  /** The next window; null as long as it is not complete. */
  next() {
    const begin = round(this.index * this.hop * this.rate) - this.first;
    if (this.kept[0].length < begin + this.size) return null;
    this.kept = this.kept.map((samples) => samples.subarray(begin));
    this.first += begin;
    this.index++;
    return this.kept.map((samples) => samples.subarray(0, this.size));
  }
}

function joined(parts) {
  const found = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}

/** Halves become the even number, as in Python. */
function round(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/** Channels of `seconds` of samples at `rate` -> at `sampleRate`. */
export async function resample(channels, seconds, rate, sampleRate) {
  const count = Math.max(1, round(seconds * sampleRate));
  const context = new OfflineAudioContext(channels.length, count, sampleRate);
  const format = { numberOfChannels: channels.length, sampleRate: rate };
  const buffer = new AudioBuffer({ ...format, length: channels[0].length });
  channels.forEach((samples, k) => buffer.copyToChannel(samples, k));
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return channelsOf(await context.startRendering());
}

function channelsOf(buffer) {
  return Array.from({ length: buffer.numberOfChannels }, (_, k) => buffer.getChannelData(k));
}

/** Mono is the mean of all channels; stereo the first two, or the only one twice. */
export function mix(recording, channels) {
  if (channels > 1) {
    return Array.from({ length: channels }, (_, k) => recording[recording.length > 1 ? k : 0]);
  }
  if (recording.length === 1) return recording;
  const mean = (_, n) => recording.reduce((sum, samples) => sum + samples[n], 0) / recording.length;
  return [recording[0].map(mean)];
}

/** `count` samples from `start` on, padded with silence. */
function cut(samples, start, count) {
  const found = new Float32Array(round(count));
  found.set(samples.subarray(round(start), round(start) + found.length));
  return found;
}

/** The description in the metadata of an ONNX file. */
function describe(bytes) {
  const decoder = new TextDecoder();
  for (const [number, value] of fields(bytes)) {
    if (number !== METADATA) continue;
    const entry = Object.fromEntries(fields(value)); // 1: key, 2: value
    if (decoder.decode(entry[1]) !== ENTRY) continue;
    const description = JSON.parse(decoder.decode(entry[2]));
    if (description.format > FORMAT) throw new Error("it is newer than this page; export again");
    return description;
  }
  throw new Error("it has no description; expected a student that export_student.py wrote");
}

/** [number, value] of each field of a protobuf message.
 *
 * Source: https://protobuf.dev/programming-guides/encoding.
 */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      if (at >= bytes.length) throw new Error("it is not an ONNX file");
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) yield [Math.floor(key / 8), varint()];
    else if (kind === 2) {
      const length = varint();
      yield [Math.floor(key / 8), bytes.subarray(at, (at += length))];
    } else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4;
    else throw new Error("it is not an ONNX file");
  }
}
