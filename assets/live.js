// What the pages of a class share (lab/web/class_routes.py), after assets/line.js: the lab says over a socket what is to be seen, as
// parts of HTML, and the page keeps what has not changed. assets/class.js and assets/wall.js come after it, in one module with it, and say what they
// do beside: `shown()` after each page, and `unknown()` when there is no such class.
//
// Everything here is written by the lab and escaped there.

const given = JSON.parse(document.getElementById("data").textContent), me = given.me, at = (id) => document.getElementById(id);
const places = new Map();                       // name of a part -> its element
let page = {}, kitchen = null;

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

function showKitchen() {
  const place = places.get("kitchen");
  if (!place) { kitchen = null; return; }
  place.hidden = !page.kitchen && !kitchen;   // the last run stays, to talk it over; who comes late has not seen one
  if (!page.kitchen) return;
  if (!kitchen || kitchen.parentElement !== place) { kitchen = el("div"); place.replaceChildren(kitchen); }
  mount("kitchen", kitchen, page.kitchen);
}

// ---- the lab

function heard(said) {
  if (said.says != null) showStatus(said);
  if (said.page) show(said.page);
}

function showStatus({ says, done }) {
  at("said").textContent = says;
  at("done").hidden = done == null;
  const percent = Math.round(100 * (done ?? 0));
  at("done").setAttribute("aria-valuenow", percent);
  at("done").firstChild.style.width = `${percent}%`;
}
