// Runs in the audio thread: sends the samples of the microphone to the page, in blocks.

const BLOCK = 4096; // samples

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    this.count = 0;
  }

  process([input]) {
    if (input.length) {
      this.blocks.push(input.map((samples) => samples.slice()));
      this.count += input[0].length;
    }
    if (this.count >= BLOCK) {
      this.port.postMessage(this.blocks);
      this.blocks = [];
      this.count = 0;
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
