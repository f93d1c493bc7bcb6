// Fills that every scene shares, and the colour that is behind it.

/** Fills that every scene shares. */
function patterns() {
  const pattern = (id, width, height, props, ...kids) =>
      h("pattern", { id: `sk-${id}`, width, height, patternUnits: "userSpaceOnUse", ...props }, kids),
    turned = { patternTransform: "rotate(45)" };
  const lines = (size) => path(`M0 .5H${size}M.5 0V${size}`, { class: "cell-line" });
  return h(
    "svg",
    { width: 0, height: 0, class: "sk-defs", "aria-hidden": "true" },
    h(
      "defs",
      {},
      pattern("cells", CELL, CELL, {}, rect(0, 0, CELL, CELL, { class: "cell" }), lines(CELL)),
      pattern("ghost", CELL, CELL, {}, path(`M0 .5H${CELL}M.5 0V${CELL}`, { class: "cell-ghost" })),
      pattern(
        "cook",
        CELL,
        CELL,
        {},
        rect(0, 0, CELL, CELL, { class: "cell-pale" }),
        path(`M-1 ${CELL + 1}L${CELL + 1} -1M-1 1L1 -1M${CELL - 1} ${CELL + 1}L${CELL + 1} ${CELL - 1}`, { class: "cell-cook" }),
        lines(CELL),
      ),
      pattern("lines", 4, 3, {}, rect(0, 0, 4, 1.7, { class: "cell" })),
      pattern("bars", 3, 4, {}, rect(0, 0, 1.6, 4, { class: "cell" })),
      pattern("frost", 9, 9, turned, rect(0, 0, 9, 9, { class: "ice" }), rect(0, 0, 3.2, 9, { class: "ice-2" })),
      pattern("stall", 6, 6, turned, rect(0, 0, 6, 6, { class: "stall-2" }), rect(0, 0, 2, 6, { class: "stall-1" })),
      pattern("tiles", 40, 32, {}, path("M0 .5H40M0 16.5H40M.5 0V16M20.5 16V32", { class: "joints" })),
    ),
  );
}

/** The nearest moment before or after t at which something happened, and what. */
function neighbour(log, t, way) {
  const all = happened(log),
    at = way > 0 ? until(all, t + 1e-9) : until(all, t - 1e-9) - 1;
  if (!all[at]) return null;
  const when = all[at].t,
    first = way > 0 ? at : until(all, when - 1e-9),
    says = [];
  for (let n = first; n < all.length && all[n].t === when; n += 1)
    says.push(typeof all[n].what === "function" ? all[n].what() : all[n].what);
  return { t: when, says: says.length > 3 ? `${says.slice(0, 3).join("; ")}; and ${says.length - 3} more` : says.join("; ") };
}

/** Hear of whatever may put another colour behind a scene; what it returns ends that. */
function onRestyle(restyle) {
  const themes = new MutationObserver(restyle),
    dark = matchMedia("(prefers-color-scheme: dark)"),
    attributeFilter = ["class", "style", "data-theme", "data-jp-theme-light", "data-vscode-theme-kind"];
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true, attributeFilter });
  dark.addEventListener("change", restyle);
  return () => {
    themes.disconnect();
    dark.removeEventListener("change", restyle);
  };
}

/** Red, green and blue of a computed colour, up to 255 each; null for one that is hardly there. */
function channels(colour) {
  const parts = (colour.match(/[\d.]+/g) || []).map(Number);
  if (parts.length < 3 || (parts[3] ?? 1) <= 0.5) return null;
  return parts.slice(0, 3).map((part) => (colour.startsWith("color(") ? part * 255 : part));
}

const isDark = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b < 128;

/** Light or dark follows from the colour that is really behind the scene; where nothing in the document paints one, as in
 *  VS Code's frame, from the colour of its text. */
function paint(wrapper) {
  let paper = null,
    text = null;
  for (let node = wrapper.parentNode; node && !paper; node = node.parentNode || node.host) {
    if (!(node instanceof Element)) continue;
    const style = getComputedStyle(node);
    text ||= channels(style.color);
    paper = channels(style.backgroundColor);
  }
  paper ||= text && !isDark(text) ? [18, 18, 18] : [255, 255, 255];
  wrapper.style.setProperty("--page", `rgb(${paper.join(" ")})`);
  setFont(getComputedStyle(wrapper).fontFamily);
  mark(wrapper, "data-theme", isDark(paper) ? "dark" : "light");
}
