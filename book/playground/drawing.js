// What the page draws: the text character by character, the attention over it, and bars.

/** Return an element with a class, some attributes, and what is in it. */
function element(kind, name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(kind), { className: name });
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

const NAMES = { " ": "space", "\n": "new line", "\t": "tab" };
export const nameOf = (character) => NAMES[character] ?? character;
export const percent = (share) => `${(share * 100).toFixed(1)} %`;

/** Draw a text, of which the model sees what stands from `start` on; return an element for each character it sees. */
export function drawText(place, characters, start) {
  const seen = characters.slice(start).map((character) => {
    const kind = character === "\n" ? "character line-end" : "character";
    const attributes = { role: "option", "aria-selected": "false", "aria-label": nameOf(character), tabindex: "-1" };
    return element("span", kind, attributes, character === "\n" ? "⏎" : character);
  });
  const forgotten = element("span", "forgotten", { "aria-hidden": "true" }, characters.slice(0, start).join(""));
  place.replaceChildren(...(start > 0 ? [forgotten] : []), ...seen);
  return seen;
}

/** Shade each character by its share of a head's attention, the largest share as dark as it gets. */
export function drawAttention(elements, attention) {
  const largest = Math.max(...attention);
  elements.forEach((each, place) => {
    each.style.setProperty("--attended", place < attention.length ? (attention[place] / largest).toFixed(3) : 0);
    each.title = place < attention.length ? `${each.ariaLabel}: ${percent(attention[place])}` : "";
  });
}

/** Draw a row for each character that may come next: its name, both bars, and the share that is drawn from. */
export function drawBars(place, next, came) {
  place.replaceChildren(...next.map(({ character, own, drawn }) => element(
    "li",
    character === came ? "came" : "",
    {},
    element("span", "name", {}, nameOf(character), character === came ? " (came next)" : ""),
    element(
      "span",
      "bar",
      { "aria-hidden": "true" },
      element("span", "drawn", { style: `width: ${drawn * 100}%` }),
      element("span", "own", { style: `width: ${own * 100}%` }),
    ),
    element("span", "share", {}, percent(drawn)),
  )));
}
