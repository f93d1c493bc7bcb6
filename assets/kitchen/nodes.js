// Drawing. A picture is a tree of plain objects, made afresh for every frame by functions of the log and the time; `patch` tells
// the document only what differs from the last one. What is the same object as last time is not even looked at.

const SVG = "http://www.w3.org/2000/svg";
const IN_SVG = new Set("svg g path rect circle ellipse text tspan defs pattern clipPath title desc line".split(" "));

/** A node. `props.key` keeps it the same among its siblings, wherever it comes to stand. */
const h = (tag, props, ...kids) => ({ tag, props: props || {}, key: props?.key, kids: kids.length ? flatten(kids, []) : NONE });
const NONE = [];
function flatten(kids, into) {
  for (const kid of kids) {
    if (Array.isArray(kid)) flatten(kid, into);
    else if (kid != null && kid !== false && kid !== "") into.push(typeof kid === "number" ? `${kid}` : kid);
  }
  return into;
}
/** A node that lives by itself (a slider in somebody's hand); it is only put where it belongs. */
const own = (node) => ({ tag: node, props: {}, kids: NONE });

function mount(tree) {
  if (typeof tree === "string") return { tree, node: document.createTextNode(tree) };
  if (tree.tag instanceof Node) return { tree, node: tree.tag, kids: [] };
  const node = IN_SVG.has(tree.tag) ? document.createElementNS(SVG, tree.tag) : document.createElement(tree.tag);
  for (const name in tree.props) write(node, name, tree.props[name]);
  const kids = tree.kids.map(mount);
  node.append(...kids.map((kid) => kid.node));
  return { tree, node, kids };
}

function patch(one, tree) {
  const was = one.tree;
  if (was === tree) return one;
  if (typeof was === "string" || typeof tree === "string" || was.tag !== tree.tag || was.key !== tree.key) {
    if (typeof was === "string" && typeof tree === "string") {
      one.node.data = tree;
      one.tree = tree;
      return one;
    }
    const next = mount(tree);
    one.node.replaceWith(next.node);
    return next;
  }
  for (const name in was.props) if (!(name in tree.props)) write(one.node, name, null);
  for (const name in tree.props) if (was.props[name] !== tree.props[name]) write(one.node, name, tree.props[name]);
  if (was.kids !== tree.kids) patchKids(one, tree.kids);
  one.tree = tree;
  return one;
}

function patchKids(one, trees) {
  const { node, kids: old } = one,
    rest = old.length === trees.length && trees.every((tree, n) => alike(old[n].tree, tree)) ? null : byKind(old);
  const kids = trees.map((tree, n) => {
    const found = rest ? rest.get(kindOf(tree))?.shift() : old[n];
    return found ? patch(found, tree) : mount(tree);
  });
  one.kids = kids;
  if (!rest && kids.every((kid, n) => kid === old[n])) return;
  const stay = new Set(kids.map((kid) => kid.node));
  for (const kid of old) if (!stay.has(kid.node) && kid.node.parentNode === node) kid.node.remove();
  let at = node.firstChild;
  for (const { node: kid } of kids) {
    if (at && kid === at.nextSibling && node.namespaceURI === SVG) {
      at.remove(); // it comes later: it moves, and not all that stand before its new place
      at = kid;
    }
    if (kid === at) at = at.nextSibling;
    else node.insertBefore(kid, at);
  }
}
const alike = (was, tree) => was.tag === tree.tag && was.key === tree.key;

/** Where one comes or goes among its siblings, the others stay what they are: each goes on as the next of its kind. */
const kindOf = (tree) => tree.key ?? (typeof tree.tag === "string" ? `${tree.tag} ${tree.props.class?.split(" ", 1)}` : tree.tag);
function byKind(kids) {
  const found = new Map();
  for (const kid of kids) {
    const kind = kindOf(kid.tree),
      same = found.get(kind);
    if (same) same.push(kid);
    else found.set(kind, [kid]);
  }
  return found;
}

function write(node, name, value) {
  if (name === "key") return;
  if (name.startsWith("on")) {
    node[name] = value;
    return;
  }
  if (value == null || value === false) {
    node.removeAttribute(name);
    return;
  }
  node.setAttribute(name, value === true ? "" : typeof value === "number" ? f1(value) : value);
}

/** Puts a tree into a place, and what follows into the same nodes. */
function canvas(place) {
  let one = null;
  return (tree) => {
    if (one) one = patch(one, tree);
    else {
      one = mount(tree);
      place.append(one.node);
    }
    return one.node;
  };
}

// ---- shapes

const f1 = (n) => `${Math.round(n * 10) / 10}`;
const rect = (x, y, width, height, props) =>
  h("rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), ...props });
const path = (d, props) => h("path", { d, ...props });
const circle = (cx, cy, r, props) => h("circle", { cx, cy, r, ...props });
const g = (props, ...kids) => h("g", props, ...kids);
const text = (x, y, says, props) => h("text", { x, y, ...props }, says);
const span = (says, name) => h("tspan", { class: name }, says);
const at = (x, y, scale) =>
  `translate(${f1(x)} ${f1(y)})${scale == null || scale === 1 ? "" : ` scale(${Math.round(scale * 1000) / 1000})`}`;
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

/** What depends on a few values only, made again when one of them changes. */
function memo(make) {
  let before = null,
    made = null;
  return (...keys) => {
    if (!before || keys.some((key, n) => key !== before[n])) {
      before = keys;
      made = make(...keys);
    }
    return made;
  };
}

/** What has been drawn like this before: the same object again, at which `patch` does not even look. */
const KEPT = new Map();
function kept(key, make) {
  let made = KEPT.get(key);
  if (made === undefined) {
    if (KEPT.size > 2000) KEPT.clear();
    KEPT.set(key, (made = make()));
  }
  return made;
}

// ---- how wide words are, in the page's font

const PEN = typeof document === "undefined" ? null : document.createElement("canvas").getContext("2d"),
  WIDTHS = new Map();
let penFont = "",
  penTurn = 0; // of fonts: what was measured in another one is void
function setFont(family) {
  if (family !== penFont) {
    penFont = family;
    penTurn += 1;
    WIDTHS.clear();
    KEPT.clear();
  }
}
function widthOf(words, size, weight = 400) {
  if (/^\d/.test(words)) words = words.replace(/\d/g, "0"); // digits are as wide as each other, and a clock has many
  const key = `${size} ${weight} ${words}`;
  let width = WIDTHS.get(key);
  if (width == null) {
    PEN.font = `${weight} ${size}px ${penFont || "sans-serif"}`;
    width = PEN.measureText(words).width;
    if (WIDTHS.size > 4000) WIDTHS.clear();
    WIDTHS.set(key, width);
  }
  return width;
}

/** A line of text made of [words, classes]: of several wordings the first that is no wider than `room`. */
function fitted(x, y, room, wordings, props) {
  const wide = (parts) =>
    parts.reduce(
      (sum, [says, names = ""]) => sum + widthOf(says, /t13/.test(names) ? 13 : 14, /bold|strong/.test(names) ? 650 : 400),
      0,
    );
  const parts = wordings.find((one) => wide(one) <= room) || wordings.at(-1);
  return text(
    x,
    y,
    parts.map(([says, names]) => span(says, names)),
    { class: "t14", ...props },
  );
}

const ICONS = {
  play: "M6 3.5v13l10-6.5z",
  pause: "M7 4v12M13 4v12",
  back: "M14 4v12l-8-6zM5 4v12",
  ahead: "M6 4v12l8-6zM15 4v12",
  replay: "M4.5 7A6.5 6.5 0 1 1 3.5 11.5M4 3v4.5h4.5",
  cancel: "M5 5l10 10M15 5 5 15",
  kill: "M10 3v7M6 5.5a6.5 6.5 0 1 0 8 0",
};
const icon = (name) => h("svg", { class: "sk-icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, path(ICONS[name]));
