// Wide tables and figures move sideways by themselves; while they do, the keyboard can reach and move them, too.
const MOVABLE = ".bd-article :is(table, figure, div.cell_output, div.cell_output p)";

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const moves = getComputedStyle(target).overflowX === "auto" && target.scrollWidth > target.clientWidth;
    if (moves) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

addEventListener("DOMContentLoaded", () => {
  for (const each of document.querySelectorAll(MOVABLE)) watcher.observe(each);
});
