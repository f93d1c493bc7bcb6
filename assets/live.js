// What the pages of a class share (lab/web/class_routes.py), after assets/line.js: the lab says over a socket what is to be seen, as
// parts of HTML, and the page keeps what has not changed. assets/class.js and assets/wall.js come after it, in one module with it, and say what they
// do beside: `shown()` after each page, `unknown()` when there is no such class, and how a kitchen is `staged`.
//
// Everything here is written by the lab and escaped there.

const given = JSON.parse(document.getElementById("data").textContent), me = given.me, at = (id) => document.getElementById(id);
const places = new Map();                       // name of a part -> its element
let page = {}, kitchen = null;
let past = [], hear = null;                     // what came of the class's run that is on, and the scene that hears what comes

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value != null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- what is shown

function show(next) {
  const moved = page.step !== undefined && page.step !== next.step;
  page = next;
  at("where").textContent = page.where || "";
  const wanted = page.parts || [];
  for (const [name, node] of places) if (!wanted.some(([one]) => one === name)) { node.remove(); places.delete(name); }
  wanted.forEach(([name, html], n) => {
    if (!places.has(name)) places.set(name, el("section", { "data-part": name }));
    const node = places.get(name);
    if (at("parts").children[n] !== node) at("parts").insertBefore(node, at("parts").children[n] || null);
    if (html && node.said !== html) node.said = node.innerHTML = html;    // without HTML it is a place
  });
  if (document.querySelector("kitchen-stills")) load("kitchen");
  shown();
  showKitchen();
  follow(page.room || "", given, heard, unknown);
  if (moved) arrive();
}

/** The page is at another step: to the eye by scrolling, to keyboard and screen reader by focus. */
function arrive() {
  const heading = document.querySelector("[data-arrive]");
  heading?.focus({ preventScroll: true });
  heading?.scrollIntoView({ block: "start" });
}

const load = (name) => import(new URL(given.modules[name], document.baseURI));

async function mount(name, root, data, heard = () => {}) {
  const { default: component } = await load(name);
  if (root.isConnected) return component({ parentElement: root, data, setStateValue: (_, value) => heard(value) });
  return () => {};
}

/** What the page says (the wall's, of an offer); or the class's run that is on, as it comes over the line. */
function showKitchen() {
  const place = places.get("kitchen"), run = past[0]?.kitchen;
  if (!place) { kitchen = hear = null; past = []; return; }
  place.hidden = !page.kitchen && !run && !kitchen;   // the last run stays, to talk it over; who comes late has not seen one
  if (!page.kitchen && (!run || hear)) return;
  if (!kitchen || kitchen.parentElement !== place) { kitchen = el("div"); place.replaceChildren(kitchen); }
  hear = page.kitchen ? null : () => {};               // until the scene is there
  mount("kitchen", kitchen, staged(page.kitchen || { kitchens: [{ ...run, stream: "class", open: openRuns }], can: [] }));
}

// ---- the class's runs, one after another (lab/course/gathering_feed.py)

function heardRun(message) {
  if (message.kitchen) past = [];
  past.push(message);
  if (hear) hear(message);
  else if (!page.kitchen) showKitchen();
}

/** For a scene that comes to hear them: what there was of the run that is on, and then what comes. */
function openRuns(_path, _since, _sparing, listen, changed) {
  hear = listen;
  queueMicrotask(() => past.forEach(listen));          // once the scene has what is returned here
  addEventListener("line", changed);
  return { send() {}, isOpen: lineIsOpen, says: () => lineIsOpen() ? "live" : "connecting…", close: () => removeEventListener("line", changed) };
}

// ---- the lab

function heard(said) {
  if (said.says != null) showStatus(said);
  if (said.page) show(said.page);
  if (said.kitchen || said.motions || said.over) heardRun(said);
}

function showStatus({ says, done }) {
  at("said").textContent = says;
  at("done").hidden = done == null;
  const percent = Math.round(100 * (done ?? 0));
  at("done").setAttribute("aria-valuenow", percent);
  at("done").firstChild.style.width = `${percent}%`;
}
