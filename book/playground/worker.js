// The worker: it has the model and computes beside the page, which stays free to scroll and to draw.
// The page sends { name, … } and gets what the function of that name returns, in the order in which it asked.

import { Reader } from "./gpt.js";
import { byLikelihood, draw, probabilities, randomNumbers } from "./sampler.js";
import { build } from "./weights.js";

let reader, characters, ids, random;

const TASKS = {
  /** Fetch a model: the address of its folder -> its manifest. */
  async load({ folder }) {
    const manifest = await (await fetched(`${folder}/manifest.json`)).json();
    const buffer = await (await fetched(`${folder}/${manifest.weights.file}`)).arrayBuffer();
    const built = await build(manifest, buffer);
    reader = new Reader(built.model, built.characters.characters.length);
    characters = built.characters;
    return manifest;
  },

  /** Begin a text that `write` continues. */
  begin({ text, seed }) {
    ids = characters.encode(text);
    random = randomNumbers(seed);
  },

  /** Write on for some milliseconds, or up to `most` characters -> what was written. */
  write({ most, milliseconds, settings }) {
    const end = performance.now() + milliseconds;
    const before = ids.length;
    do {
      ids.push(draw(probabilities(reader.follow(ids), settings), random()));
    } while (ids.length < before + most && performance.now() < end);
    return characters.decode(ids.slice(before));
  },

  /** Look at a place of a text -> what may come next there, and where a head looks from there. */
  look({ text, place, layer, head, settings, most }) {
    const all = characters.encode(text);
    reader.follow(all);
    const start = all.length - reader.ids.length; // what stands before, the model does not see
    const logits = reader.logits(place - start);
    const [own, drawn] = [probabilities(logits, {}), probabilities(logits, settings)];
    const next = byLikelihood(logits).slice(0, most);
    return {
      start,
      next: next.map((id) => ({ character: characters.decode([id]), own: own[id], drawn: drawn[id] })),
      attention: reader.attention(layer, head, place - start),
    };
  },
};

async function fetched(address) {
  const response = await fetch(address);
  if (response.ok) return response;
  throw new Error(`${address} could not be fetched (${response.status}); write the page again with \`make book\` or ` +
    "`minigpt export web`.");
}

let last = Promise.resolve();
addEventListener("message", ({ data: { name, ...rest } }) => {
  last = last.then(async () => {
    try {
      postMessage({ value: await TASKS[name](rest) });
    } catch (error) {
      postMessage({ problem: error.message });
    }
  });
});
