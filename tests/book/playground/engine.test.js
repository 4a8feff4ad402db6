// The engine of the playground against PyTorch: `tests/book/test_playground_engine.py` makes the files and runs this.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Memory, Reader } from "../../../book/playground/gpt.js";
import { linear } from "../../../book/playground/operations.js";
import { byLikelihood, draw, keepTopK, keepTopP, probabilities, randomNumbers } from "../../../book/playground/sampler.js";
import { build, toFloat } from "../../../book/playground/weights.js";

const FOLDER = process.env.MINIGPT_GOLDEN;
const CASES = readdirSync(FOLDER, { withFileTypes: true }).filter((each) => each.isDirectory()).map((each) => each.name);

const read = (...parts) => readFileSync(join(FOLDER, ...parts));
const json = (...parts) => JSON.parse(read(...parts));
const toBuffer = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const open = (name) => build(json(name, "manifest.json"), toBuffer(read(name, "weights.bin")));
const furthest = (a, b) => a.reduce((most, number, i) => Math.max(most, Math.abs(number - b[i])), 0);

for (const name of CASES) {
  const golden = json(name, "golden.json"); // of torch: ids (T,), logits (T, V) with exact and with rounded weights

  test(`${name}: the logits are those of torch`, async () => {
    const { model } = await open(name);
    const logits = model.read(golden.ids, new Memory(model.config));
    assert.equal(logits.length, golden.rounded.length);
    assert.ok(furthest(logits, golden.rounded) < 1e-3, `off by ${furthest(logits, golden.rounded)}`);
    assert.ok(furthest(logits, golden.exact) < golden.error + 1e-3, `off by ${furthest(logits, golden.exact)}`);
  });

  test(`${name}: reading one by one gives the very same logits as reading at once`, async () => {
    const { model } = await open(name);
    const [V, memory] = [model.config.vocab_size, new Memory(model.config)];
    const atOnce = model.read(golden.ids, new Memory(model.config));
    golden.ids.forEach((id, place) => {
      assert.deepEqual(model.read([id], memory), atOnce.slice(place * V, (place + 1) * V));
    });
  });

  test(`${name}: a reader goes on, goes back and slides as torch does`, async () => {
    const { model } = await open(name);
    const reader = new Reader(model);
    const ids = golden.greedy.slice(0, golden.prompt);
    while (ids.length < golden.greedy.length) ids.push(byLikelihood(reader.follow(ids))[0]);
    assert.deepEqual(ids, golden.greedy);
    const changed = [...golden.ids.slice(0, 3), (golden.ids[3] + 1) % model.config.vocab_size];
    assert.deepEqual(reader.follow(changed), new Reader(model).follow(changed));
    assert.deepEqual(reader.follow(changed.slice(0, 2)), new Reader(model).follow(changed.slice(0, 2)));
  });

  test(`${name}: ids without a character have no logits`, async () => {
    const { model } = await open(name);
    const all = new Reader(model).follow(golden.ids);
    assert.deepEqual(new Reader(model, all.length - 2).follow(golden.ids), all.slice(0, -2));
  });

  test(`${name}: the attention of every head is that of torch, and adds up to 1`, async () => {
    const { model } = await open(name);
    const reader = new Reader(model);
    reader.follow(golden.ids);
    golden.attention.forEach((layer, l) => layer.forEach((head, h) => head.forEach((row, place) => {
      const weights = reader.attention(l, h, place);
      assert.equal(weights.length, place + 1);
      assert.ok(furthest(weights, row) < 1e-4);
      assert.ok(Math.abs(weights.reduce((a, b) => a + b) - 1) < 1e-5);
    })));
  });
}

test("the matrix product is right for every size", () => {
  const random = randomNumbers(0);
  const some = (size) => Float32Array.from({ length: size }, random);
  for (const F of [1, 3, 7, 8, 9, 15, 16, 21]) {
    const [T, C, x, weight, bias] = [3, 5, some(15), some(F * 5), some(F)];
    const y = linear(x, weight, bias, C);
    assert.equal(y.length, T * F);
    y.forEach((number, i) => {
      const [t, f] = [Math.floor(i / F), i % F];
      const sum = [0, 1, 2, 3, 4].reduce((total, c) => total + x[t * C + c] * weight[f * C + c], bias[f]);
      assert.ok(Math.abs(number - sum) < 1e-5);
    });
  }
});

test("the sampler draws from the same distribution as the Python package", () => {
  const { logits, settings } = json("sampler.json");
  for (const { expected, ...each } of settings) {
    assert.ok(furthest(probabilities(Float32Array.from(logits), each), expected) < 1e-6, JSON.stringify(each));
  }
});

test("top-k keeps k, also of equals, and top-p the fewest that reach p", () => {
  const kept = (logits) => logits.filter((logit) => logit > -Infinity).length;
  const equal = new Float32Array(10);
  for (const k of [1, 3, 10, 20]) assert.equal(kept(keepTopK(equal, k)), Math.min(k, 10));
  assert.equal(kept(keepTopP(equal, 0.25)), 3);
  assert.equal(kept(keepTopP(equal, 1)), 10);
  assert.equal(kept(keepTopP(Float32Array.of(9, 0, 0), 0.01)), 1);
});

test("drawing follows the probabilities, and never picks what has none", () => {
  const counts = [0, 0, 0, 0];
  const random = randomNumbers(1);
  for (let i = 0; i < 20_000; i++) counts[draw(Float32Array.of(0, 0.7, 0.3, 0), random())]++;
  assert.deepEqual([counts[0], counts[3]], [0, 0]);
  assert.ok(Math.abs(counts[1] / 20_000 - 0.7) < 0.02);
  assert.equal(draw(Float32Array.of(0, 1, 0), 1 - 2 ** -32), 1);
});

test("a seed gives the same random numbers again, and another seed others", () => {
  const first = (seed) => Array.from({ length: 1000 }, randomNumbers(seed));
  assert.deepEqual(first(7), first(7));
  assert.notDeepEqual(first(7), first(8));
  assert.ok(first(0).every((number) => number >= 0 && number < 1));
  assert.ok(Math.abs(first(0).reduce((a, b) => a + b) / 1000 - 0.5) < 0.05);
});

test("two bytes of floating point are read as numpy wrote them", () => {
  for (const [bits, number] of json("halves.json")) assert.equal(toFloat(bits), number);
});

test("damaged weights are refused", async () => {
  const [manifest, whole] = [json(CASES[0], "manifest.json"), toBuffer(read(CASES[0], "weights.bin"))];
  const flipped = whole.slice(0);
  new Uint8Array(flipped)[5] ^= 1;
  await assert.rejects(build(manifest, flipped), /damaged/);
  await assert.rejects(build(manifest, whole.slice(4)), /damaged/);
});

test("unknown characters are named once each, and a stand-in is used where there is one", async () => {
  const { characters } = await open(CASES[0]);
  assert.throws(() => characters.encode("a€a€ß"), /does not know the characters € ß; leave them out/);
  assert.throws(() => characters.encode("a€"), /does not know the character €; leave it out/);
  assert.equal(characters.decode(characters.encode("a small text")), "a small text");
  characters.fallback = 2;
  assert.deepEqual(characters.encode("€"), [2]);
});
