// The page: it asks the worker, and shows what comes back.

import { drawAttention, drawBars, drawText, nameOf, percent } from "./drawing.js";

const MILLISECONDS = 30; // between two pieces of text that the worker sends
const PAUSE = 150; // milliseconds without a key before a changed prompt is read
const MOST_BARS = 12;

const root = document.getElementById("playground");
const form = root.querySelector("form");
const fields = form.elements;
const radios = root.querySelectorAll("[type=radio]"); // none where there is one model only
const part = (name) => root.querySelector(`[data-part="${name}"]`);

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = []; // those who asked, in order
worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.shift();
  if ("problem" in data) reject(new Error(data.problem));
  else resolve(data.value);
};
const ask = (name, rest = {}) => new Promise((resolve, reject) => {
  waiting.push({ resolve, reject });
  worker.postMessage({ name, ...rest });
});

let manifest = null;
let writing = false;
let characters = []; // of the text that is looked into
let elements = []; // of those characters that the model sees
let start = 0; // the place of the first of them
let selected = 0; // a place among them

const settings = () => ({
  temperature: Number(fields.temperature.value),
  topK: fields["top-k"].value === "" ? null : Math.max(1, Number(fields["top-k"].value)),
  topP: Number(fields["top-p"].value),
});

/** Do something, and show what it complains of, or nothing. */
async function attempt(action) {
  try {
    await action();
    part("problem").textContent = "";
  } catch (error) {
    part("problem").textContent = error.message;
  }
}

async function load() {
  const address = new URL(`${root.dataset.models}/${fields.model.value}`, import.meta.url);
  part("write").disabled = true;
  part("facts").textContent = "The model is being fetched.";
  try {
    manifest = await ask("load", { folder: address.href.replace(/\/$/, "") });
  } catch (error) {
    part("facts").textContent = "";
    throw error;
  }
  part("facts").textContent = describe(manifest);
  part("write").disabled = false;
  choices(part("layer"), manifest.config.n_layer);
  choices(part("head"), manifest.config.n_head);
  await lookInto(fields.prompt.value);
}

function describe({ parameters, precision, weights, validation, config }) {
  const size = `${parameters.toLocaleString("en")} parameters in ${(weights.bytes / 1e6).toFixed(1)} MB (${precision}), ` +
    `${config.n_layer} layers of ${config.n_head} heads, a context of ${config.block_size} characters.`;
  if (!validation) return `${size} Its loss with rounded weights was not measured, for want of the text.`;
  return `${size} Loss on ${validation.tokens.toLocaleString("en")} held-out characters of ${validation.text}: ` +
    `${validation.rounded_loss.toFixed(4)} nats per character with these rounded weights, ` +
    `${validation.loss.toFixed(4)} with the exact ones.`;
}

function choices(select, count) {
  const before = Math.min(select.selectedIndex, count - 1);
  select.replaceChildren(...Array.from({ length: count }, (_, i) => new Option(i + 1, i)));
  select.selectedIndex = Math.max(0, before);
}

/** Write on after the prompt, until the length is reached or somebody stops it. */
async function write() {
  const prompt = fields.prompt.value;
  const length = Number(fields.most.value);
  await ask("begin", { text: prompt, seed: Number(fields.seed.value) });
  const written = document.createElement("span");
  const given = Object.assign(document.createElement("b"), { textContent: prompt });
  part("written").replaceChildren(given, written);
  busy(true);
  const began = performance.now();
  try {
    for (let count = 0; count < length && writing;) {
      const piece = await ask("write", { most: length - count, milliseconds: MILLISECONDS, settings: settings() });
      written.append(piece);
      count += [...piece].length;
      showSpeed(count, (performance.now() - began) / 1000, [...prompt].length + count);
    }
  } finally {
    busy(false);
  }
  await lookInto(prompt + written.textContent);
}

function showSpeed(count, seconds, length) {
  const slow = length > manifest.config.block_size ? "; the window slides now, and is read anew at each step" : "";
  part("speed").textContent = `${count} characters, ${Math.round(count / seconds)} tokens per second${slow}`;
}

/** Lock what must not change while the model writes; the focus goes to the button that can be pressed. */
function busy(now) {
  writing = now;
  const [write, stop] = [part("write"), part("stop")];
  const hadFocus = [write, stop].includes(document.activeElement);
  [write.disabled, stop.disabled] = [now, !now];
  if (hadFocus) (now ? stop : write).focus();
  fields.prompt.readOnly = now;
  for (const radio of radios) radio.disabled = now;
  part("written").ariaBusy = String(now);
}

/** Show a text character by character, and look at its last place. */
async function lookInto(text) {
  characters = [...text];
  start = Math.max(0, characters.length - manifest.config.block_size);
  elements = drawText(part("text"), characters, start);
  if (characters.length > 0) await select(characters.length - start - 1);
}

/** Ask what the model expects at a place, and where the chosen head looks from there. */
function look(place) {
  const choice = { layer: Number(part("layer").value), head: Number(part("head").value) };
  return ask("look", { text: characters.join(""), place: place + start, settings: settings(), most: MOST_BARS, ...choice });
}

async function select(place) {
  for (const each of elements) [each.tabIndex, each.ariaSelected] = [-1, "false"];
  [elements[place].tabIndex, elements[place].ariaSelected] = [0, "true"];
  selected = place;
  const { next, attention } = await look(place);
  if (selected !== place || attention.length !== place + 1) return; // somebody has chosen another since
  part("after").textContent = `What comes after “${nameOf(characters[start + place])}”`;
  drawBars(part("bars"), next, characters[start + place + 1]);
  showAttention(place, attention);
}

async function glance(place) {
  showAttention(place, (await look(place)).attention);
}

function showAttention(place, attention) {
  if (attention.length > elements.length) return;
  drawAttention(elements, attention);
  const most = [...attention.keys()].sort((a, b) => attention[b] - attention[a]).slice(0, 3);
  const named = most.map((i) => `“${nameOf(characters[start + i])}” at ${start + i + 1} (${percent(attention[i])})`);
  part("attention").textContent =
    `From “${nameOf(characters[start + place])}” at ${start + place + 1}, this head looks most at ${named.join(", ")}.`;
}

const MOVES = {
  ArrowLeft: (place) => place - 1,
  ArrowRight: (place) => place + 1,
  ArrowUp: (place) => place - 10,
  ArrowDown: (place) => place + 10,
  Home: () => 0,
  End: () => elements.length - 1,
};

function again(action) {
  if (manifest && !writing) attempt(action);
}

let pause;
fields.prompt.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => again(() => lookInto(fields.prompt.value)), PAUSE);
});
fields.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(pause);
  again(write);
});
part("stop").addEventListener("click", () => (writing = false));
for (const radio of radios) radio.addEventListener("change", () => attempt(load));
for (const name of ["temperature", "top-p", "top-k"]) {
  fields[name].addEventListener("input", () => {
    if (part(name)) part(name).textContent = fields[name].value;
    if (elements.length > 0) again(() => select(selected));
  });
}
for (const name of ["layer", "head"]) part(name).addEventListener("change", () => again(() => select(selected)));

const text = part("text");
const placeOf = (event) => elements.indexOf(event.target.closest(".character"));
text.addEventListener("click", (event) => placeOf(event) >= 0 && again(() => select(placeOf(event))));
text.addEventListener("pointerover", (event) => placeOf(event) >= 0 && again(() => glance(placeOf(event))));
text.addEventListener("pointerleave", () => elements.length > 0 && again(() => glance(selected)));
text.addEventListener("keydown", (event) => {
  if (!(event.key in MOVES) || elements.length === 0 || writing) return;
  event.preventDefault();
  const place = Math.min(elements.length - 1, Math.max(0, MOVES[event.key](selected)));
  again(() => select(place));
  elements[place].focus();
});

if (location.protocol !== "file:") attempt(load);
