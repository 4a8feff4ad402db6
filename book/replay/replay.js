// The replay: one slider goes through the frames of a recorded run, another through the rows of an attention map.
// The page holds the record, so nothing is fetched. Shapes: T characters of the text that is read.

const MILLISECONDS = 250; // that a frame stays while the run is played
const NAMES = { " ": "space", "\n": "new line" };
const SIGNS = { " ": "␣", "\n": "⏎" };
const DRAWING = "http://www.w3.org/2000/svg";

const root = document.getElementById("replay");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const record = JSON.parse(part("record").textContent);
const characters = [...record.read]; // T
const [slider, row, play] = [part("slider"), part("row"), part("play")];

const percent = (share) => `${(share * 100).toFixed(0)}\u00a0%`;
const nameAt = (place) => `“${NAMES[characters[place]] ?? characters[place]}” at ${place + 1}`;
const frame = () => record.frames[slider.value];
const shade = (share) => Math.sqrt(share).toFixed(3); // so that small shares can be seen, too

function element(kind, attributes = {}, text = "") {
  const made = kind === "span" ? document.createElement(kind) : document.createElementNS(DRAWING, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Return the shares of a frame, row by row: row t has t + 1 of them. */
function rows({ attention }) {
  const shares = Array.from(atob(attention), (character) => character.charCodeAt(0) / 255);
  return characters.map((_, t) => shares.slice((t * (t + 1)) / 2, ((t + 1) * (t + 2)) / 2));
}

/** Draw the map without its shades, once; return its cells, row by row. */
function drawMap() {
  const T = characters.length;
  const label = (x, y, t) => element("text", { x, y }, SIGNS[characters[t]] ?? characters[t]);
  const cells = characters.map((_, t) =>
    characters.slice(0, t + 1).map((_, j) => element("rect", { class: "cell", x: j, y: t, width: 1, height: 1 })));
  part("map").setAttribute("viewBox", `-1.6 -1.6 ${T + 1.8} ${T + 1.8}`);
  part("map").replaceChildren(
    ...characters.flatMap((_, t) => [label(-0.8, t + 0.5, t), label(t + 0.5, -0.8, t)]),
    ...cells.flat(),
    element("rect", { class: "chosen", x: 0, height: 1 }),
  );
  return cells;
}

const cells = drawMap();
const letters = characters.map((character) =>
  element("span", { class: character === "\n" ? "letter line-end" : "letter" }, SIGNS[character] ?? character));
part("text").replaceChildren(...letters);

/** Show a row of the map over the text itself, and in words. */
function showRow() {
  const chosen = Number(row.value);
  const shares = rows(frame())[chosen];
  const most = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, 3);
  const box = part("map").querySelector(".chosen");
  box.setAttribute("y", chosen);
  box.setAttribute("width", chosen + 1);
  letters.forEach((letter, place) => {
    letter.style.setProperty("--share", place <= chosen ? shade(shares[place]) : 0);
    letter.classList.toggle("unseen", place > chosen);
    letter.classList.toggle("here", place === chosen);
  });
  part("row-name").textContent = row.ariaValueText = nameAt(chosen);
  part("look").textContent = `From ${nameAt(chosen)}, the head looks at ` +
    `${most.map((place) => `${nameAt(place)} (${percent(shares[place])})`).join(", ")}.`;
}

/** Return what a curve had last come to at a step: the value of the last point up to there, or null. */
const latest = (points, step) => points.findLast(([at]) => at <= step)?.[1] ?? null;
const { step: steps, loss, learning_rate } = record.course;
const curves = {
  loss: steps.map((step, i) => [step, loss[i]]),
  rate: steps.map((step, i) => [step, learning_rate[i]]),
};

function showFrame() {
  const { step, sample, before } = frame();
  root.style.setProperty("--at", step / record.max_steps);
  const written = sample.slice(record.sample.prompt.length);
  const prompt = Object.assign(document.createElement("b"), { textContent: record.sample.prompt });
  part("sample").replaceChildren(prompt, written);
  part("step").textContent = slider.ariaValueText = `${step.toLocaleString("en")} steps`;
  const figures = [
    ["loss", latest(curves.loss, step)?.toFixed(2)],
    ["validation loss", latest(record.validation, step)?.toFixed(2)],
    ["learning rate", latest(curves.rate, step)?.toPrecision(2)],
    ["attention to the character before", percent(before)],
  ];
  part("figures").textContent = figures.map(([name, value]) => `${name} ${value ?? "–"}`).join(" · ");
  rows(frame()).forEach((shares, t) => shares.forEach((share, j) => (cells[t][j].style.fillOpacity = shade(share))));
  showRow();
}

let timer = null;

/** Play from here, or from the beginning again; at the end it stops by itself. */
function start() {
  if (slider.value === slider.max) slider.value = 0;
  timer = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    if (slider.value === slider.max) stop();
    showFrame();
  }, MILLISECONDS);
  play.textContent = "Pause";
  part("figures").ariaLive = "off"; // nobody can listen that fast
  showFrame();
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
  part("figures").ariaLive = "polite";
}

play.addEventListener("click", () => (timer ? stop() : start()));
slider.addEventListener("input", () => {
  stop();
  showFrame();
});
row.addEventListener("input", showRow);

part("map").addEventListener("pointermove", choose);
part("map").addEventListener("pointerdown", choose);
function choose(event) {
  const cell = event.target.closest(".cell");
  if (!cell) return;
  row.value = cell.getAttribute("y");
  showRow();
}

for (const plot of root.querySelectorAll(".plot")) {
  plot.addEventListener("pointerdown", (event) => {
    const { left, width } = plot.getBoundingClientRect();
    const step = ((event.clientX - left) / width) * record.max_steps;
    const distances = record.frames.map((each) => Math.abs(each.step - step));
    stop();
    slider.value = distances.indexOf(Math.min(...distances));
    showFrame();
  });
}

slider.max = record.frames.length - 1;
slider.value = 0;
row.max = characters.length - 1;
row.value = characters.length - 1;
root.classList.remove("still");
showFrame();
