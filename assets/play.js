// Be the cook (lab/web/play_routes.py). A round is its orders and a list of moves: this page keeps the list, in its address, and asks
// the lab where it leads. To undo is to ask for a shorter list. After assets/line.js: in a class, all play the same round.

const given = JSON.parse(document.getElementById("data").textContent), at = (id) => document.getElementById(id);
const { createKitchens } = await import(new URL(given.modules.kitchen, document.baseURI));
const { stage, update } = createKitchens(at("scene")), quiet = matchMedia("(prefers-reduced-motion: reduce)");
const WIDE = 1020, LEAST_GAP = 4;               // a page so wide has the moves beside the kitchen
const MOST_SEED = 999_999, ENDS = "undo again deal".split(" ");
const known = new Map();                        // a list of moves, as JSON -> what the lab said
const SEARCH = given.room ? "hint" : "best";    // while a class plays, nobody is told what would be better
let asked = given.asked, now = null, busy = false, watching = "", drawn = 0;
let limit_s = 0, left_s = 0;                    // a move may take so long; 0: no limit
let counted = "", counting = false;             // the moves that the class has
const scores = new Map();                       // a round -> the scores it had when it was last over
let advice = null;                              // of a round that was played: what is said before the move that decided it

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value != null && value !== false) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- the lab

async function tell(next) {
  const key = JSON.stringify(next);
  if (known.has(key)) return known.get(key);
  const answer = await fetch(new URL("lab/play", document.baseURI), {
    method: "POST", headers: { "Content-Type": "application/json" }, body: key });
  if (answer.status !== 200 && answer.status !== 409) throw new Error(answer.statusText);
  const said = await answer.json();
  if (said.answer) known.set(key, said.answer);
  return said.answer || Promise.reject(said.why);
}

/** To these moves, or to another round. */
async function go(change) {
  if (busy) return;
  busy = true;
  at("why").textContent = "";
  const next = { ...asked, watch: "", search: "", ...change };
  try {
    const said = await tell(next);
    asked = next;
    watching = next.watch;
    show(said);
  } catch (why) {
    left_s = limit_s;
    tellWhy(why);
  } finally {
    busy = false;
  }
  if (now?.result && now.result.searched !== SEARCH) search();
}

/** What decided a round that is over takes the lab a second to find, or longer if a whole class asks; meanwhile all buttons work. */
async function search() {
  const of = now, next = { ...asked, watch: watching, search: SEARCH };
  try {
    const said = await tell(next);
    if (of === now) { asked = next; show(said); }
  } catch (why) {
    if (of === now) tellWhy(why);
  }
}

const place = ({ level, seed, pace, moves }) => JSON.stringify([level, seed, pace, moves]);

function tellWhy(why) { at("why").textContent = typeof why === "string" ? why : "The lab does not answer. Nothing is lost: try again in a moment."; }

function remember() {
  const { level, seed, pace, moves } = asked, at_ = new URL(location.href);
  at_.search = new URLSearchParams({ ...stays(), level, seed, pace, ...(moves.length ? { moves: moves.join(".") } : {}) }).toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  history.replaceState(null, "", at_);
}

/** What the address says beside the round. */
const stays = () => Object.fromEntries(Object.entries({ room: given.room, from: given.lesson.slug, clock: limit_s || "" }).filter(([, said]) => said));

// ---- what is shown

function show(said) {
  const before = now, { level, seed, pace } = asked, round = `${level} ${seed} ${pace}`, same = before?.round === round;
  const ended = said.result && !before?.result;
  now = { ...said, round };
  const begins = same && asked.moves.length === 1 && !before.begun;
  now.begun = asked.moves.length > 0;
  remember();
  at("does").replaceChildren(...tinted(said.says));
  at("asks").textContent = advised()?.says ?? said.asks;
  at("does").toggleAttribute("data-begun", asked.moves.length > 0);
  at("does").hidden = !!said.result;
  at("pace-says").textContent = said.pace;
  at("pace").value = pace;
  for (const button of at("levels").children) button.setAttribute("aria-pressed", +button.dataset.level === level);
  at("board").dataset.level = level;
  at("board").toggleAttribute("data-over", !!said.result);
  at("board").toggleAttribute("data-begun", now.begun);
  at("result").hidden = !said.result;
  showKitchen(said, same ? before.t : 0, round, same && !!before?.result === !!said.result && said.result);
  showHand(said);
  if (said.result) { showResult(said.result, ended); count(); }
  else if (now.begun && innerWidth < WIDE) requestAnimationFrame(() => uncover(begins));
}

/** Where the moves lie over the kitchen, no plate lies below them: the page is scrolled by as much as they would hide. */
function uncover(begins) {
  stage.draw();
  const plates = [...at("scene").querySelectorAll(".sk-plate")].map((one) => one.getBoundingClientRect().bottom);
  const top = begins ? at("scene").getBoundingClientRect().top : 0;   // the opening has been read
  const hidden = Math.max(0, ...plates) - top + LEAST_GAP - (innerHeight - at("hand").offsetHeight);
  if (top || hidden > 0) scrollBy({ top: top + Math.max(0, hidden) });
}

/** What is said of the move that is next, where it decided the round before. */
const advised = () => advice?.before === place(asked) && !now.result && advice;

/** Words in the colours that they have in the kitchen. */
const HUES = { prep: "prep", plate: "plate", plating: "plate", pass: "pass", tray: "pass" };
const tinted = (text) => text.split(/\b(prep|plate|plating|pass|tray)\b/i).map((part) => (HUES[part.toLowerCase()] ? el("b", { class: HUES[part.toLowerCase()] }, part) : part));

/** Until a step is drawn nothing is taken: the buttons are other ones by then. Nor does one light up under a pointer that rests. */
const drawing = () => drawn > performance.now();
function hold(wait_ms) {
  const until = drawn = performance.now() + wait_ms;
  at("moves").toggleAttribute("data-drawing", wait_ms > 0);
  at("moves").toggleAttribute("data-fresh", true);
  setTimeout(() => { if (drawn === until) { drawn = 0; at("moves").removeAttribute("data-drawing"); } }, wait_ms);
}
addEventListener("pointermove", () => drawing() || at("moves").removeAttribute("data-fresh"));

/** Time goes on from where it was to where it is: slowly where little happens, so that one sees a step of 30 ms. */
function showKitchen(said, from, round, stays) {
  const kitchens = said.kitchens.map((one) => ({ ...one, run: `${one.run} ${round}`, title: said.result ? one.title : "" }));
  update({ kitchens, can: [], intro: "" });
  hold(0);
  if (said.kitchens.length > 1) { stage.pace(1); stage.replay(); at("scene").scrollIntoView({ block: "start" }); return; }
  if (stays) return;
  const passes = said.t - from;
  if (passes <= 0 || quiet.matches) { stage.clock.playing = false; stage.seek(said.t); }
  else {
    const lasts = Math.min(1.6, 0.3 + 0.5 * passes);
    stage.seek(from);
    stage.runTo(said.t, passes / lasts);
    hold(1e3 * lasts);
  }
}

function showHand({ buttons, waiting, so_far, t, result }) {
  const held = at("moves").contains(document.activeElement), rows = [];
  const last = result ? null : scores.get(now.round);
  at("so-far").replaceChildren(...so_far.map(([what, much], n) => el("div", {}, el("dt", {}, what), el("dd", {}, much), last ? el("dd", { class: "last" }, `${last[n]} last time`) : "")));
  if (result) scores.set(now.round, so_far.map(([, much]) => much));
  at("hand-title").replaceChildren("Your move ", el("small", {}, `at ${t < 0.0995 ? `${(1e3 * t).toFixed(0)} ms` : `${t.toFixed(2)} s`}`));
  const row = (called, all, ...head) => all.length && rows.push(el("div", { class: all[0].act === "send" ? "row send" : "row", role: "group", "aria-label": called }, ...head, el("div", { class: "all" }, ...all.map(moveButton))));
  row("Plating", buttons.filter(({ act }) => act.startsWith("plate")));
  for (const { number, says } of waiting)
    row(`Order ${number}`, buttons.filter(({ act, orders }) => orders[0] === number && ["whole", "portion", "mixed"].includes(act)), el("p", {}, el("b", {}, `${number}`), says));
  for (const [called, one] of [["Several orders", "together"], ["The pass", "send"]]) row(called, buttons.filter(({ act }) => act === one));
  at("moves").replaceChildren(...rows);
  [...at("moves").querySelectorAll("button")].slice(0, 9).forEach((button, n) => { button.append(el("kbd", { "aria-hidden": "true" }, `${n + 1}`)); button.setAttribute("aria-keyshortcuts", n + 1); });
  for (const name of ENDS.slice(0, 2)) document.querySelector(`[data-do=${name}]`).disabled = !asked.moves.length || (name === "undo" && limit_s > 0);
  document.querySelector("[data-do=undo]").title = limit_s ? "With a time limit, a move that is made stands." : "";
  left_s = limit_s;
  tick(0);
  at("said").textContent = result ? result.headline : `At ${t.toFixed(2)} seconds: ${so_far.map(([what, much]) => `${what} ${much}`).join(", ")}. ${buttons.length} choices. ${at("asks").textContent}`;
  if (held) (at("moves").querySelector("button") || at("hand-title")).focus({ preventScroll: true });
}

function moveButton({ move, act, label, detail, orders }) {
  const whose = ["whole", "portion", "mixed"].includes(act) ? `order ${orders[0]}, ` : "";
  return el("button", { type: "button", class: "move", "data-move": move, "data-kind": act, "data-advised": advised()?.move === move, "aria-label": `${label}: ${whose}${detail}` }, el("span", {}, ...tinted(label)), detail ? el("small", {}, detail) : "");
}

function showResult({ headline, says, chart, moment, chose, back, searched }, arrived) {
  const held = at("result").contains(document.activeElement) && document.activeElement.dataset;
  const button = (does, words, first) => el("button", { type: "button", "data-do": does, class: first && "first" }, words);
  const told = el("div", { class: back == null ? "moment" : "moment blames" }, el("p", {}, moment));
  if (chose) told.append(el("p", {}, chose));
  if (back != null) told.append(button("what-if", "Go back to that move", true));
  const field = el("div");
  field.innerHTML = chart;   // the lab's own, escaped there
  for (const one of field.querySelectorAll("[data-watch]")) one.setAttribute("aria-pressed", one.dataset.watch === watching);
  const more = !given.room && asked.level < given.levels.length, good = searched === "best" && !chose;
  const next = el("div", { class: "onward" }, button("again", "The same orders again", back == null && !(good && more)));
  if (!given.room) next.append(button("deal", "Other orders"));
  if (more) next.append(button("next", `Level ${asked.level + 1}`, good));
  if (searched === "best") next.append(el("a", { href: new URL(`lab/play/card${location.search}`, document.baseURI), download: "be-the-cook.svg", "data-do": "card" }, "A card to share"));
  const heading = el("h2", { tabindex: -1 }, headline);
  field.prepend(el("p", {}, says, given.room ? " The best that a search finds is shown when the round ends." : searched ? "" : " Looking for the best schedule …"));
  at("result").replaceChildren(heading, el("div", { class: "both" }, el("div", {}, next, told), field));   // what a search finds moves no button
  if (held) (at("result").querySelector(`[data-watch="${held.watch}"]`) || heading).focus({ preventScroll: true });
  if (!arrived) return;
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "center" });
}

// ---- what the learner does

const acts = {
  undo: () => asked.moves.length && !limit_s && go({ moves: asked.moves.slice(0, -1) }),
  again: () => go({ moves: [] }),
  deal: () => go({ moves: [], seed: Math.floor(Math.random() * MOST_SEED) }),
  next: () => go({ moves: [], level: asked.level + 1 }),
  "what-if": () => {
    const moves = asked.moves.slice(0, now.result.back);
    advice = { before: place({ ...asked, moves }), says: now.result.there, move: now.result.instead };
    go({ moves });
  },
};

document.addEventListener("click", ({ target }) => {
  if (target.dataset.do === "card") target.textContent = "Your browser saves the card as be-the-cook.svg";
  const button = target.closest("button");
  if (!button) return;
  const { move, level, watch } = button.dataset;
  if (move) drawing() || go({ moves: [...asked.moves, move] });
  else if (level) go({ moves: [], level: +level });
  else if (watch) go({ search: SEARCH, watch: watch === watching ? "" : watch });
  else acts[button.dataset.do]?.();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
  const press = /^[1-9]$/.test(event.key) ? at("moves").querySelectorAll("button")[event.key - 1] : null;
  if (press && drawing()) { /* not before one sees what it is */ }
  else if (press) go({ moves: [...asked.moves, press.dataset.move] });
  else if (event.key === "u" || event.key === "Backspace") acts.undo();
  else return;
  event.preventDefault();
});

// ---- a time limit: simulated time stands still while one thinks, but not for long; then the first button is pressed

/** `passed_s` more have passed. Nothing runs before the first move, while a step is drawn, or while nobody can see it. */
function tick(passed_s) {
  const runs = limit_s > 0 && now && !now.result && asked.moves.length > 0, first = at("moves").querySelector("button");
  at("left").hidden = !runs || !first;
  if (!runs || !first) return;
  if (!busy && !drawing() && !document.hidden) left_s -= passed_s;
  const seconds = Math.max(0, Math.ceil(left_s));
  at("left").style.setProperty("--share", Math.max(0, seconds / limit_s));
  at("left").lastChild.textContent = `${seconds} s, then: ${first.querySelector("span").textContent.toLowerCase()}`;
  if (left_s <= 0 && !busy && !drawing()) go({ moves: [...asked.moves, first.dataset.move] });
}
setInterval(() => tick(0.1), 100);
at("clock").onchange = () => { limit_s = +at("clock").value; remember(); showHand(now); };

// ---- in a class

function heard({ says, page }) {
  if (says != null) at("class-says").textContent = `Class ${given.member}: ${says}`;
  if (given.room && page && page.step !== "cook") visit(new URL(`join?room=${given.room}`, document.baseURI), given.me);
  count();
}

/** The class has each round that is finished. What does not arrive is sent again, once the lab is heard from. */
async function count() {
  const moves = asked.moves.join(" ");
  if (!given.room || !now?.result || counting || counted === moves) return;
  counting = true;
  try {
    const answer = await fetch(new URL("lab/class/finish", document.baseURI), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ me: given.me, moves: asked.moves }) });
    const { why } = await answer.json();
    counted = moves;
    at("counted").textContent = why || "Your point is on the projector. The latest round counts, unless an earlier one beats it.";
  } catch { /* the line breaks then, too, and the next word over it brings us here again */ }
  counting = false;
}

const ways = [given.member && ["Back to your class", `./join?room=${given.member}`], given.lesson.slug && [given.lesson.says, `./${given.lesson.slug}`]].filter(Boolean);
at("beside").hidden = !ways.length;
at("ways-back").append(...ways.map(([says, href]) => el("a", { href }, says)));
document.body.toggleAttribute("data-class", !!given.room);
limit_s = [5, 10].find((seconds) => seconds === +new URLSearchParams(location.search).get("clock")) || 0;
at("clock").value = limit_s || "";

// ---- the round that the address names

at("pace").append(...given.paces.map(({ name, title }) => el("option", { value: name }, title)));
at("pace").onchange = () => go({ moves: [], pace: at("pace").value });
at("levels").append(...given.levels.map(({ number, title }) => el("button", { type: "button", "data-level": number }, `Level ${number}`, el("span", {}, `: ${title[0].toLowerCase()}${title.slice(1)}`))));
if (given.said.answer) known.set(JSON.stringify({ ...asked, watch: "", search: "" }), given.said.answer);
for (const less of [{}, { moves: [] }, ...(given.room ? [] : [{ pace: given.paces[0].name, moves: [] }, { level: 1, seed: 1, pace: given.paces[0].name, moves: [] }])])
  if (!now) await go(less);   // as much of what the address says as can be played
at("why").textContent = given.said.why;
follow(given.member, given, heard, () => location.reload());
takeAlong(given.me);
