// A learner's page of a class (lab/web/class_routes.py). The lab says what is to be seen, as parts of HTML; this page keeps what
// has not changed, so that nothing is lost of a form that is being filled in, and sends what its learner does.
//
// Everything here is written by the lab and escaped there, except what is typed into the form.

const given = JSON.parse(document.getElementById("data").textContent), me = given.me, at = (id) => document.getElementById(id);
const SHORTEST_MS = 400, LONGEST_MS = 5000;    // between two tries to connect
const places = new Map();                       // name of a part -> its element
let page = {}, form = null, kitchen = null, socket = null, wait = SHORTEST_MS, following = "";

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value != null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- drafts: in the tab's own memory, where the browser allows it

const drafts = {
  read(key) { try { return JSON.parse(sessionStorage.getItem(key)) || {}; } catch { return {}; } },
  write(key, draft) { try { sessionStorage.setItem(key, JSON.stringify(draft)); } catch { /* this browser keeps nothing */ } },
};

// ---- what is shown

function show(next) {
  const moved = page.step !== undefined && page.step !== next.step;
  page = next;
  at("where").textContent = page.where || "";
  at("why").textContent = "";
  const wanted = page.step === "join" ? [["join", ""]] : page.parts || [];
  for (const [name, node] of places) if (!wanted.some(([one]) => one === name)) { node.remove(); places.delete(name); }
  wanted.forEach(([name, html], n) => {
    if (!places.has(name)) places.set(name, el("section", { "data-part": name }));
    const node = places.get(name);
    if (at("parts").children[n] !== node) at("parts").insertBefore(node, at("parts").children[n] || null);
    if (!["form", "kitchen", "join"].includes(name) && node.said !== html) node.said = node.innerHTML = html;
  });
  showForm();
  showKitchen();
  if (places.has("join") && !places.get("join").firstChild) places.get("join").append(joinForm());
  const [where, does] = page.bar || ["", ""];
  at("bar-where").textContent = where && `${where} ·`;
  at("bar-does").textContent = does;
  at("bar").hidden = page.step === "join";
  follow(page.room || "");
  if (moved) arrive();
}

/** The page is at another step: to the eye by scrolling, to keyboard and screen reader by focus. */
function arrive() {
  const heading = document.querySelector("[data-arrive]");
  heading?.focus({ preventScroll: true });
  heading?.scrollIntoView({ block: "start" });
}

async function mount(name, root, data, heard = () => {}) {
  const { default: component } = await import(new URL(given.modules[name], document.baseURI));
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

// ---- the form

function showForm() {
  const place = places.get("form"), key = page.asked ? `draft ${page.room} ${page.asked.lesson} ${page.asked.round} ${page.asked.vote}` : "";
  if (!place || !page.form) {
    form = null;
    at("go").hidden = true;
    return;
  }
  at("go").hidden = false;
  if (form?.key === key) return;
  form = { key, draft: drafts.read(key), asked: page.asked };
  place.replaceChildren(guessForm());
}

function guessForm() {
  const { value, reasons } = page.form, { draft } = form, keep = (name, said) => { draft[name] = said; drafts.write(form.key, draft); };
  const choice = (name, legend, options) => {
    const set = el("fieldset", {}, el("legend", {}, legend));
    for (const [said, words] of options) {
      const radio = el("input", { type: "radio", name, value: said });
      radio.checked = draft[name] === said;
      radio.onchange = () => keep(name, said);
      set.append(el("label", {}, radio, " ", words));
    }
    return set;
  };
  const fields = el("form", { id: "guess", novalidate: "" });
  fields.onsubmit = lock;
  if (value.type === "choice") fields.append(choice("value", "Your guess", value.options));
  else {
    const root = el("div", { class: "drawn" });
    if (value.type === "curve") fields.append(el("p", {}, "Your guess: drag the points, or move each with the arrow keys."));
    fields.append(root);
    requestAnimationFrame(() => mount(value.type, root, { ...value, value: draft.value ?? null, values: draft.value ?? null }, (said) => keep("value", said)));
  }
  fields.append(choice("confidence", "How sure are you?", ["guessing", "fairly sure", "sure"].map((one) => [one, one])));
  if (reasons?.length) {
    const why = el("select", {}, el("option", { value: "" }, "Choose a reason"), ...reasons.map((one) => el("option", { value: one }, one)));
    why.value = draft.reason || "";
    why.onchange = () => keep("reason", why.value);
    fields.append(el("label", { class: "field" }, "Why? (optional) ", why));
  }
  const own = el("input", { maxlength: 240, autocomplete: "off" });
  own.value = draft.own || "";
  own.oninput = () => keep("own", own.value);
  fields.append(el("label", { class: "field" }, "In your own words (optional) ", own));
  return fields;
}

function lock(event) {
  event.preventDefault();
  const { value, confidence, reason, own } = form.draft, kind = page.form.value.type;
  const missing = [value == null && { number: "a number", choice: "an answer", curve: "a curve" }[kind], !confidence && "how sure you are"].filter(Boolean);
  if (missing.length) { at("why").textContent = `Still missing: ${missing.join(" and ")}.`; return; }
  const said = kind === "choice" ? value : [].concat(value).map(Number);
  const guess = { value: said, confidence, reason: [reason, own?.trim()].filter(Boolean).join(" — ").slice(0, 400) };
  send("vote", { vote: { asked: form.asked, guess } });
}

// ---- joining

function joinForm() {
  const code = el("input", { maxlength: 5, autocomplete: "off", autocapitalize: "characters", required: "" });
  const nickname = el("input", { maxlength: 24, autocomplete: "off" });
  code.value = given.room;
  const fields = el("form", { id: "join" },
    el("h1", { tabindex: -1, "data-arrive": "" }, "Join a class"),
    el("p", {}, "The code is on the projector. No account; your vote is shown to nobody with your name."),
    el("label", { class: "field" }, "Code ", code), el("label", { class: "field" }, "Nickname (optional) ", nickname),
    el("p", {}, el("small", {}, "The instructor sees it in the list of votes; the class only if you offer a run under it.")));
  if (me && !navigator.cookieEnabled)
    fields.append(el("p", {}, "This browser keeps no cookie for this page: after a reload you would have to join once more."));
  fields.append(el("button", { type: "submit" }, "Join"), el("p", {}, el("a", { href: "./instructor" }, "I lead a class")));
  fields.onsubmit = (event) => { event.preventDefault(); send("join", { code: code.value, nickname: nickname.value }); };
  return fields;
}

// ---- the lab

async function send(act, said = {}) {
  try {
    const answer = await fetch(new URL(`lab/class/${act}`, document.baseURI), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ me, room: given.room, ...said }) });
    const { page: next, why } = await answer.json();
    if (act === "join" && !why) given.room = "";
    show(next);
    at("why").textContent = why;
  } catch {
    at("why").textContent = "The lab does not answer. Nothing is lost of what you have filled in: try again in a moment.";
  }
}

/** The class's status line, and its next page whenever there is one. */
function follow(room) {
  if (room === following) return;
  following = room;
  socket?.close();
  if (room) connect(room);
}

function connect(room) {
  const url = new URL(`lab/class?room=${room}&sees=page`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const line = socket = new WebSocket(url);
  line.onopen = () => me && line.send(JSON.stringify({ me }));
  line.onmessage = ({ data }) => {
    const heard = JSON.parse(data);
    wait = SHORTEST_MS;
    if (heard.says != null) {
      at("said").textContent = heard.says;
      at("done").hidden = heard.done == null;
      const percent = Math.round(100 * (heard.done ?? 0));
      at("done").setAttribute("aria-valuenow", percent);
      at("done").firstChild.style.width = `${percent}%`;
    }
    if (heard.page) show(heard.page);
  };
  line.onclose = ({ code }) => {
    if (line !== socket || following !== room) return;
    if (code === 4404) { send("look"); return; }
    setTimeout(() => following === room && connect(room), wait * (0.5 + Math.random()));
    wait = Math.min(LONGEST_MS, wait * 2);
  };
}

document.addEventListener("click", ({ target }) => target.dataset?.act && send(target.dataset.act));

show(given.page);
