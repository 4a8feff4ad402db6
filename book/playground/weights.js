// The files of `minigpt export web`: a manifest that says what stands where, and the numbers of all weights.

import { Characters } from "./characters.js";
import { GPT } from "./gpt.js";

/** Build a model of a manifest and its numbers, an ArrayBuffer.
 *
 * Raises an Error if the numbers are not those that the manifest describes. */
export async function build(manifest, buffer) {
  const damaged = new Error("The weights are damaged; reload the page, or write it again with `make book` or `minigpt export web`.");
  if (buffer.byteLength !== manifest.weights.bytes) throw damaged;
  const subtle = globalThis.crypto?.subtle; // there is none on a page that was served without encryption
  if (subtle && hexadecimal(await subtle.digest("SHA-256", buffer)) !== manifest.weights.sha256) throw damaged;
  const weights = {};
  for (const [name, tensor] of Object.entries(manifest.tensors)) weights[name] = READERS[tensor.type](buffer, tensor);
  return { model: new GPT(manifest.config, weights), characters: new Characters(manifest.tokenizer) };
}

const count = (shape) => shape.reduce((product, size) => product * size, 1);

const READERS = {
  float32: (buffer, { offset, shape }) => new Float32Array(buffer, offset, count(shape)),

  float16: (buffer, { offset, shape }) => {
    const bits = new Uint16Array(buffer, offset, count(shape));
    return new Float32Array(bits.length).map((_, i) => toFloat(bits[i]));
  },

  /** Whole numbers from −127 to 127, and the size of a step in each row: (R, C), (R,) -> (R, C). */
  int8: (buffer, { offset, shape: [R, C], scales: place }) => {
    const numbers = new Int8Array(buffer, offset, R * C);
    const scales = new Float32Array(buffer, place, R);
    return new Float32Array(R * C).map((_, i) => numbers[i] * scales[Math.floor(i / C)]);
  },
};

/** Return the number that 16 bits stand for: a sign, 5 bits of exponent, 10 bits of fraction (IEEE 754). */
export function toFloat(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

function hexadecimal(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
