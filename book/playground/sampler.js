// From logits to the next character: each filter takes logits (V,) and returns logits (V,), so that they chain.
// What is ruled out gets the logit −∞.

import { softmax } from "./operations.js";

/** Rule out all but the k likeliest. */
export function keepTopK(logits, k) {
  const kept = new Set(byLikelihood(logits).slice(0, k));
  return logits.map((logit, id) => (kept.has(id) ? logit : -Infinity));
}

/** Keep the smallest set of the likeliest whose probabilities reach p. */
export function keepTopP(logits, p) {
  const probabilities = softmax(logits.slice());
  const kept = new Set();
  let mass = 0;
  for (const id of byLikelihood(logits)) {
    if (mass >= p && p < 1) break;
    kept.add(id);
    mass += probabilities[id];
  }
  return logits.map((logit, id) => (kept.has(id) ? logit : -Infinity));
}

/** Return the ids from the likeliest to the least likely; of two that are equal, the smaller one first. */
export function byLikelihood(logits) {
  return [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
}

/** Return the probabilities (V,) to draw from; temperature 0 is greedy, and null leaves a filter out. */
export function probabilities(logits, { temperature = 1, topK = null, topP = null }) {
  if (temperature === 0) return softmax(keepTopK(logits, 1));
  logits = logits.map((logit) => logit / temperature);
  if (topK !== null) logits = keepTopK(logits, topK);
  if (topP !== null) logits = keepTopP(logits, topP);
  return softmax(logits);
}

/** Draw an id in proportion to the probabilities, with a random number from 0 up to 1. */
export function draw(probabilities, number) {
  let rest = number * probabilities.reduce((sum, probability) => sum + probability, 0); // rounding leaves not quite 1
  const id = probabilities.findIndex((probability) => (rest -= probability) < 0);
  return id >= 0 ? id : byLikelihood(probabilities)[0];
}

/** Return a function that gives one random number after the other, from 0 up to 1, always the same for a seed.
 *
 * A counter walks through the whole numbers of 32 bits in even steps, and a mixer makes it look random, as in SplitMix
 * (Steele et al., 2014) with the mixer of MurmurHash3. */
export function randomNumbers(seed) {
  let counter = seed >>> 0;
  return () => {
    counter = (counter + 0x9e3779b9) >>> 0;
    let bits = counter;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}
