// A GPT that reads: the same arithmetic as the Python package, one array at a time.
// Shapes: T time, C width, H heads, D = C/H width of a head, G heads of keys and values, V vocabulary, S block_size.

import { add, BENDS, linear, NORMS, softmax } from "./operations.js";
import { POSITIONS } from "./positions.js";

/** What a model keeps of the text that it has read, so that it reads only what is new: its cache, and for the page
 * to draw, the attention weights and the logits too. To forget the end of the text, lower `length`. */
export class Memory {
  constructor({ n_layer, n_head: H, n_kv_head: G, head_dim: D, block_size: S, vocab_size: V }) {
    this.length = 0;
    this.keys = Array.from({ length: n_layer }, () => new Float32Array(S * G * D)); // (S, G, D) in each layer
    this.values = Array.from({ length: n_layer }, () => new Float32Array(S * G * D)); // (S, G, D)
    this.weights = Array.from({ length: n_layer }, () => new Float32Array(H * S * S)); // (H, S, S)
    this.logits = new Float32Array(S * V); // (S, V)
  }
}

export class GPT {
  constructor(config, weights) {
    this.config = config;
    this.weights = weights; // one Float32Array for each parameter of the Python model, by its name there
    this.position = POSITIONS[config.position](config, weights);
    if (config.tie_weights) weights["lm_head.weight"] = weights["token_embedding.weight"];
  }

  /** Read further characters: ids (T,) -> their logits (T, V), which stay in the memory too. */
  read(ids, memory) {
    const { n_embd: C, n_layer, vocab_size: V } = this.config;
    const start = memory.length;
    const embeddings = new Float32Array(ids.length * C);
    ids.forEach((id, t) => embeddings.set(this.weights["token_embedding.weight"].subarray(id * C, (id + 1) * C), t * C));
    const x = this.position.embed(embeddings, start); // (T, C)
    for (let layer = 0; layer < n_layer; layer++) {
      const block = `blocks.${layer}`;
      add(x, this.attention(this.norm(x, `${block}.attention_norm`), layer, memory));
      add(x, this.mlp(this.norm(x, `${block}.mlp_norm`), `${block}.mlp`));
    }
    const logits = this.linear(this.norm(x, "final_norm"), "lm_head"); // (T, V)
    memory.logits.set(logits, start * V);
    memory.length += ids.length;
    return logits;
  }

  /** Mix into each place what stands before it: (T, C) -> (T, C). */
  attention(x, layer, memory) {
    const { n_embd: C, n_head: H, n_kv_head: G, head_dim: D, block_size: S } = this.config;
    const [keys, values, weights] = [memory.keys[layer], memory.values[layer], memory.weights[layer]];
    const part = `blocks.${layer}.attention`;
    const qkv = this.linear(x, `${part}.qkv`); // (T, C + 2·G·D)
    const width = C + 2 * G * D;
    const mixed = new Float32Array(x.length); // (T, C)
    for (let t = 0; t < x.length / C; t++) {
      const place = memory.length + t;
      const q = this.headNorm(qkv.subarray(t * width, t * width + C), `${part}.q_norm`); // (H, D)
      const k = this.headNorm(qkv.subarray(t * width + C, t * width + C + G * D), `${part}.k_norm`); // (G, D)
      this.position.rotate(q, place);
      this.position.rotate(k, place);
      keys.set(k, place * G * D);
      values.set(qkv.subarray(t * width + C + G * D, (t + 1) * width), place * G * D);
      for (let h = 0; h < H; h++) {
        const group = Math.floor((h * G) / H) * D; // where this head's keys and values begin in a row
        const scores = weights.subarray((h * S + place) * S, (h * S + place) * S + place + 1); // what was read so far
        for (let j = 0; j <= place; j++) {
          let score = 0;
          for (let d = 0; d < D; d++) score += q[h * D + d] * keys[j * G * D + group + d];
          scores[j] = score / Math.sqrt(D);
        }
        softmax(scores);
        for (let j = 0; j <= place; j++) {
          for (let d = 0; d < D; d++) mixed[t * C + h * D + d] += scores[j] * values[j * G * D + group + d];
        }
      }
    }
    return this.linear(mixed, `${part}.out`);
  }

  /** Think about each place by itself: (T, C) -> (T, C). */
  mlp(x, part) {
    const gate = `${part}.gate.weight` in this.weights ? this.linear(x, `${part}.gate`) : null; // (T, F)
    return this.linear(BENDS[this.config.mlp](this.linear(x, `${part}.up`), gate), `${part}.down`);
  }

  linear(x, part) {
    const isDown = part.endsWith(".down");
    const { n_embd, mlp_dim } = this.config;
    return linear(x, this.weights[`${part}.weight`], this.weights[`${part}.bias`], isDown ? mlp_dim : n_embd);
  }

  norm(x, part) {
    return NORMS[this.config.norm](x, this.weights[`${part}.weight`], this.weights[`${part}.bias`]);
  }

  /** Normalise each head of a query or key where the model does so. */
  headNorm(heads, part) {
    return this.config.qk_norm ? NORMS.rmsnorm(heads, this.weights[`${part}.weight`]) : heads;
  }
}

/** Follows a text that changes: while it fits into the context, the model reads only what is new.
 *
 * Beyond that every character has another place at each step, so that the whole window is read again. Of the ids only
 * the first `known` have a character; what the model has beyond them is left out. */
export class Reader {
  constructor(model, known = model.config.vocab_size) {
    this.model = model;
    this.known = known;
    this.memory = new Memory(model.config);
    this.ids = []; // those that the memory holds
  }

  /** Return the logits (V,) after the last of some ids, of which the model sees the last S. */
  follow(ids) {
    const S = this.model.config.block_size;
    const seen = ids.slice(-S);
    let known = 0;
    while (known < Math.min(seen.length, this.ids.length) && seen[known] === this.ids[known]) known++;
    this.memory.length = known;
    if (known < seen.length) this.model.read(seen.slice(known), this.memory);
    this.ids = seen;
    return this.logits(seen.length - 1);
  }

  /** Return the logits (V,) at a place of the window. */
  logits(place) {
    const V = this.model.config.vocab_size;
    return this.memory.logits.slice(place * V, place * V + this.known);
  }

  /** Return how much a head attends from a place to each place up to it: (place + 1,). */
  attention(layer, head, place) {
    const S = this.model.config.block_size;
    const start = (head * S + place) * S;
    return this.memory.weights[layer].slice(start, start + place + 1);
  }
}
