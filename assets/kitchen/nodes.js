// Words and numbers.

function secs(s, digits = 2) {
  if (s == null || !Number.isFinite(s)) return "–";
  if (s > 0 && s < 0.0000995) return `${Number((s * 1e6).toPrecision(2))} µs`;
  if (s < 0.0995) return `${(s * 1000).toFixed(s < 0.00995 ? 1 : 0)} ms`;
  return `${s.toFixed(s < 9.95 ? digits : 1)} s`;
}
function bytes(n) {
  if (n == null) return "–";
  const [unit, name] = n >= 1e9 ? [1e9, "GB"] : n >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${Number((n / unit).toPrecision(3))} ${name}`;
}
const rate = (n) => (n == null ? "unpaced" : n === 0 ? "nothing, it is cut" : `${bytes(n)}/s`);
const notchOf = (n) => (n == null ? NOTCHES : Math.round((NOTCHES - 1) * Math.log(Math.max(n, SLOWEST) / SLOWEST) / Math.log(FASTEST / SLOWEST)));
const rateOf = (notch) => (notch >= NOTCHES ? null : Number((SLOWEST * (FASTEST / SLOWEST) ** (notch / (NOTCHES - 1))).toPrecision(2)));
const beltPx = (n) => (n == null ? 34 : n === 0 ? 0 : 4 + 28 * Math.min(1, Math.log(Math.max(n, SLOWEST) / SLOWEST) / Math.log(FASTEST / SLOWEST)));

// ---- nodes

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}
function sv(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
/** Write only what has changed: the DOM is told of differences, never of frames. */
function say(node, text) { if (node.said !== text) { node.said = text; node.textContent = text; } }
function set(node, name, value) {
  const all = (node.was ||= {});
  if (all[name] === value) return;
  all[name] = value;
  if (value == null || value === false) node.removeAttribute(name); else node.setAttribute(name, value === true ? "" : value);
}
function style(node, name, value) { const all = (node.styled ||= {}); if (all[name] !== value) { all[name] = value; node.style.setProperty(name, value); } }

const ICONS = {
  door: "M4 3h12v14l-2-1.6-2 1.6-2-1.6-2 1.6-2-1.6-2 1.6zM7 7h6M7 10.5h6",
  prep: "M3 17 12.5 7.5 M11 6l3 3M12 5l4-3c1.5 3 1 6-1 8z",
  pass: "M2 15.5h16M4 12.5h12v-4H4zM7 8.5V6h6v2.5",
  plating: "M2 15.5h16M4 15.5a6 6.5 0 0 1 12 0M10 9V6.5M8.5 6.5h3",
  served: "M3.5 10.5 8 15l8.5-10",
  hatch: "M3 3h14v14H3zM3 13h14M6 3v6.5h8V3",
  stall: "M10 2v16M3 6l14 8M17 6 3 14M10 5 8 3M10 5l2-2M10 15l-2 2M10 15l2 2",
};
ICONS.cook = ICONS.prep; ICONS.portions = ICONS.prep;
Object.assign(ICONS, { play: "M6 3.5v13l10-6.5z", pause: "M7 4v12M13 4v12", back: "M14 4v12l-8-6zM5 4v12", ahead: "M6 4v12l8-6zM15 4v12",
  replay: "M4.5 7A6.5 6.5 0 1 1 3.5 11.5M4 3v4.5h4.5", cancel: "M5 5l10 10M15 5 5 15", kill: "M10 3v7M6 5.5a6.5 6.5 0 1 0 8 0" });
const icon = (name) => sv("svg", { class: "sk-icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, sv("path", { d: ICONS[name] }));
const chip = (number) => el("span", { class: "sk-chip" }, number);

function titled(key, number, ...extra) {
  return el("div", { class: "sk-top" }, icon(key),
    el("div", { class: "sk-name" },
      el("strong", {}, WORDS[key].name + (number ? ` ${number}` : "")),
      el("span", { class: "sk-serving" }, WORDS[key].serving)),
    ...extra,
    el("span", { class: "sk-says" }, WORDS[key].says));
}
/** A labelled bar; `draw(share, text)`. */
function meter(label, kind) {
  const value = el("span", { class: "sk-value" }), fill = el("i", { class: "sk-fill" });
  const root = el("div", { class: "sk-meter", "data-kind": kind }, el("span", {}, label), el("span", { class: "sk-track" }, fill), value);
  return { root, draw(share, text) { style(fill, "transform", `scaleX(${Math.min(1, share || 0).toFixed(3)})`); say(value, text); } };
}
/** Nodes made once; `draw(items)` fills the first ones and hides the rest, and says how many more there are. */
function slots(count, make, root, more) {
  const made = [];
  for (let n = 0; n < count; n += 1) { made.push(make()); root.append(made[n].root); }
  return (items, ...rest) => {
    made.forEach((slot, n) => { set(slot.root, "data-empty", items[n] ? null : true); if (items[n]) slot.draw(items[n], ...rest); });
    if (more) say(more, items.length > count ? `+${items.length - count} more` : "");
  };
}
