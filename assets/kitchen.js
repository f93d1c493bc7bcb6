// Split Kitchen's scene: draws motions (lab/motion.py) against a clock. What is on screen is a function of the motions
// and the playhead alone, so live, paused, slow, scrubbed and replayed are one drawing.
//
//   log       motions in (ingest), a moment out (moment)
//   stations  door, work cards, pass, served: each builds its nodes once and has draw(moment)
//   timeline  what every worker did when
//   kitchen   one run: its stations, timeline, numbers and table
//   player    one clock for all kitchens
//   feed      a WebSocket that brings motions and takes commands
//   hosts     Streamlit (a component's default export), Jupyter (anywidget), a plain page (createKitchens)

// A copy of lab.words.stations(); a test keeps the two equal.
const WORDS = {
  "door": {"name": "Door", "serving": "waiting queue", "says": "Accepted orders hang here until a station takes them."},
  "prep": {"name": "Prep station", "serving": "prefill, compute-bound", "says": "Reads the whole prompt in one burst and fills a tray with its KV cache."},
  "pass": {"name": "The pass", "serving": "KV handoff over the interconnect", "says": "Trays cross from prep to plating; a wider belt carries more bytes per second."},
  "plating": {"name": "Plating line", "serving": "decode, memory-bandwidth-bound", "says": "Adds one token to every plate per step, again and again."},
  "cook": {"name": "All-round cook", "serving": "prefill and decode, co-located", "says": "The same worker preps and plates, and can do only one step at a time."},
  "portions": {"name": "Portioning cook", "serving": "chunked prefill and decode", "says": "A long prompt is cut into pieces, so that plating goes on between them."},
  "hatch": {"name": "Hatch", "serving": "a server, seen by its client", "says": "Orders go in, tokens come out. Who preps and who plates behind it cannot be seen from here."},
  "shelf": {"name": "Shelf", "serving": "KV blocks", "says": "Room for trays. When it is full, orders wait."},
  "served": {"name": "Served", "serving": "finished", "says": "The last token is out."}
};

const STATION_OF = { prefill_only: "prep", decode_only: "plating", prefill_first: "cook", chunked: "portions", unseen: "hatch" };
const TYPICAL = { disaggregated: [["prep", "prefill_only"], ["plating", "decode_only"]], chunked: [["cook", "chunked"]], colocated: [["cook", "prefill_first"]] };
const DEPLOYMENTS = { colocated: "co-located", chunked: "chunked prefill", disaggregated: "disaggregated", endpoint: "seen from outside" };
const SPEEDS = [[0.05, "1/20×"], [0.25, "1/4×"], [1, "1×"], [4, "4×"]];
const LIVE_LAG_S = 0.06;    // draw this far behind the run's clock, so that most events are there when their time comes
const TAIL_S = 0.6;         // a replay goes on this long after the last event
const WINDOW_S = 3;         // "busy" and tokens/s look back this far
const FROZEN_AT = 3;        // a plate is frozen after this many of its usual gaps without a token,
const LONG_AT = 8;          // and plainly so after this many
const SLOWEST = 0.5e6, FASTEST = 2e9, NOTCHES = 200; // the link slider: log scale, its last notch is "unpaced"
const CARDS = 3;            // more stations than these are drawn as tiles
const PAUSE_S = 0.05;       // between two steps of a live worker: nothing that an eye should see. A simulation has none
const SEEN = { tickets: 5, pans: 3, served: 5, belts: 4, waiting: 4 };

// ---------------------------------------------------------------- log

function newLog() {
  return { spans: new Map(), orders: new Map(), workers: new Map(), trays: [], belts: [], links: [], deployed: [],
    gaps: [], happened: [], names: new Map(), pause: PAUSE_S, start: Infinity, end: 0, version: 0, sorted: true };
}

function ingest(log, motions) {
  for (const motion of motions) {
    const known = motion.id && log.spans.get(motion.id);
    if (known) Object.assign(known, motion);
    else if (motion.id) log.spans.set(motion.id, motion);
    READERS[motion.kind]?.(log, known || motion, !known, motion);
    for (const t of [motion.t, motion.t0, motion.t1]) if (t != null && t > log.end && motion.kind !== "worker") log.end = t;
  }
  log.version += 1;
}

const READERS = {
  order(log, order, isNew, update) {
    if (isNew) {
      Object.assign(orderOf(log, order.request), order);
      log.spans.set(order.id, orderOf(log, order.request));
      log.start = Math.min(log.start, order.t0);
      happen(log, order.t0, `order ${order.number} comes in: ${order.prompt_tokens} prompt tokens`);
    }
    if (update.t1 != null) happen(log, update.t1, `order ${order.number} ${order.reason === "cancelled" ? "is cancelled" : "is served"}`);
  },
  ticket(log, ticket, isNew) { if (isNew) orderOf(log, ticket.request).tickets.push(ticket); },
  prep(log, prep, isNew) { if (isNew) orderOf(log, prep.request).preps.push(prep); },
  plate(log, plate, isNew) {
    if (!isNew) return;
    orderOf(log, plate.request).plates.push(plate);
    plate.slot = place(workerOf(log, plate.worker).slots, plate, plate.t0, (last) => last.t1);
  },
  tray(log, tray, isNew, update) {
    const order = orderOf(log, tray.request);
    if (isNew) {
      tray.moves = [];
      order.trays.push(tray);
      log.trays.push(tray);
      happen(log, tray.t0, () => `tray ${order.number} asks ${named(log, tray.target)} for room`);
    }
    if (update.accepted != null) happen(log, update.accepted, () => `${named(log, tray.target)} has room for tray ${order.number}`);
    if (update.started != null) {
      tray.slot = place(log.belts, tray, tray.started, leftBelt);
      happen(log, update.started, () => `tray ${order.number} leaves, ${bytes(tray.nbytes)}`);
    }
    if (update.t1 != null) happen(log, update.t1, () => tray.achieved == null ? `tray ${order.number} is lost`
      : `tray ${order.number} has landed, ${bytes(tray.nbytes)} in ${secs(tray.seconds)}${tray.verified ? "" : ", checksum wrong"}`);
  },
  moved(log, point) {
    const tray = log.spans.get(point.tray);
    if (!tray) return;
    insert(tray.moves, point);
    if (point.bytes >= tray.nbytes) tray.landed = point.t;
    happen(log, point.t, () => `${bytes(point.bytes)} of tray ${orderOf(log, tray.request).number} have crossed`);
  },
  step(log, step, isNew, update) {
    if (isNew) {
      insert(workerOf(log, step.worker).steps, step, "t0");
      happen(log, step.t0, () => `${named(log, step.worker)} begins a step: ${stepSays(log, step)}`);
    }
    if (update.t1 != null) happen(log, update.t1, () => `${named(log, step.worker)} ends its step after ${secs(step.t1 - step.t0)}`);
  },
  worker(log, up, isNew, update) {
    if (isNew) { workerOf(log, up.worker).ups.push(up); happen(log, up.t0, () => `${named(log, up.worker)} is up`); }
    if (update.t1 != null) happen(log, update.t1, () => `${named(log, up.worker)} is down: ${up.why || "gone"}`);
  },
  token(log, point) {
    const order = orderOf(log, point.request);
    const before = order.tokens[point.index - 1];
    order.tokens[point.index] = point;
    order.answers.length = Math.min(order.answers.length, point.index);
    if (before) insert(log.gaps, { t: point.t, s: point.t - before.t, worker: point.worker, plates: 1 });
    happen(log, point.t, () => `token ${point.index + 1} of order ${order.number}: “${point.text}”`);
  },
  /** A token on each of these plates at each of these moments; from the second on, each moment ends a step. */
  leap(log, { worker, requests, ends }) {
    const orders = requests.map((request) => orderOf(log, request)), plates = orders.length, { steps } = workerOf(log, worker);
    ends.forEach((t, n) => {
      const point = { t, worker, text: "" }, t0 = ends[n - 1];
      if (n) {
        insert(log.gaps, { t, s: t - t0, worker, plates });
        insert(steps, { worker, t0, t1: t, mode: "decode", pieces: [], plates }, "t0");
      }
      for (const { tokens } of orders) {
        if (!n && tokens.length) insert(log.gaps, { t, s: t - tokens.at(-1).t, worker, plates: 1 });
        tokens.push(point);
      }
      happen(log, t, () => `${named(log, worker)} puts a token on ${plates === 1 ? "1 plate" : `each of ${plates} plates`}`);
    });
  },
  shelf(log, point) { insert(workerOf(log, point.worker).shelf, point); },
  link(log, point) { insert(log.links, point); happen(log, point.t, () => `the pass now carries ${rate(point.bandwidth)}`); },
  deployed(log, point) { insert(log.deployed, point); happen(log, point.t, () => `deployment: ${DEPLOYMENTS[point.deployment] || point.deployment}`); },
  recalled(log, point) { happen(log, point.t, () => `order ${orderOf(log, point.request).number} is called back: ${point.why}`); },
};

function orderOf(log, request) {
  if (!log.orders.has(request)) log.orders.set(request, { request, number: log.orders.size + 1, t0: Infinity, t1: null,
    prompt_tokens: 0, max_output_tokens: 0, prompt: "", tickets: [], preps: [], trays: [], plates: [], tokens: [], answers: [] });
  return log.orders.get(request);
}

function workerOf(log, name) {
  if (!log.workers.has(name)) log.workers.set(name, { name, ups: [], steps: [], shelf: [], slots: [] });
  return log.workers.get(name);
}

function happen(log, t, what) { log.happened.push({ t, what }); log.sorted = false; }

function happened(log) {
  if (!log.sorted) { log.happened.sort((a, b) => a.t - b.t); log.sorted = true; }
  return log.happened;
}

/** Keep a list in order of time; nearly always the new one is the last. */
function insert(list, item, key = "t") {
  let at = list.length;
  while (at > 0 && list[at - 1][key] > item[key]) at -= 1;
  list.splice(at, 0, item);
}

/** When a tray's last byte had crossed: before the checksums were compared, which ends the span. */
const leftBelt = (tray) => tray.landed ?? (tray.seconds != null && tray.started != null ? tray.started + tray.seconds : tray.t1);

/** The lowest slot that is free at t, so that a plate or tray keeps its place while it is there. */
function place(slots, span, t, left) {
  let slot = slots.findIndex((last) => left(last) != null && left(last) <= t + 1e-6);
  if (slot < 0) slot = slots.length;
  slots[slot] = span;
  return slot;
}

/** How many items of a list (in order of time) have happened at t. */
function until(list, t, key = "t") {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] && list[middle][key] <= t) low = middle + 1; else high = middle;
  }
  return low;
}
const latest = (list, t, key) => list[until(list, t, key) - 1];

/** The span of a request's list that is open at t. */
function during(spans, t) {
  for (let n = spans.length - 1; n >= 0; n -= 1) {
    if (spans[n].t0 <= t) return spans[n].t1 == null || t < spans[n].t1 ? spans[n] : null;
  }
  return null;
}

function answer(order, count) {
  const { answers, tokens } = order;
  for (let n = answers.length; n < count; n += 1) answers[n] = (answers[n - 1] || "") + (tokens[n]?.text || "");
  return answers[count - 1] || "";
}

/** Everything that is where at t. */
function moment(log, t) {
  const now = { log, t, tickets: [], preps: [], waiting: [], trays: [], served: [], arrived: 0, plates: new Map() };
  for (const order of log.orders.values()) {
    if (order.t0 > t) continue;
    now.arrived += 1;
    if (order.t1 != null && order.t1 <= t) { now.served.push(order); continue; }
    const ticket = during(order.tickets, t), prep = during(order.preps, t);
    const tray = during(order.trays, t), plate = during(order.plates, t);
    if (ticket) now.tickets.push({ order, ticket });
    if (prep) now.preps.push({ order, prep });
    if (tray && !((leftBelt(tray) ?? Infinity) <= t)) (tray.started != null && tray.started <= t ? now.trays : now.waiting).push({ order, tray });
    if (plate && now.plates.has(plate.worker)) now.plates.get(plate.worker).push({ order, plate });
    else if (plate) now.plates.set(plate.worker, [{ order, plate }]);
  }
  now.link = latest(log.links, t) || log.links[0];
  now.deployed = latest(log.deployed, t) || log.deployed[0];
  return now;
}

/** What a worker is called on the floor. */
const named = (log, worker) => log.names.get(worker) || worker;

/** Who plays which role; before the log has said so, the deployment's typical floor. */
const rolesAt = (now) => (now.deployed ? now.deployed.roles : TYPICAL[now.log.deployment] || []);

/** The step a worker is in, or has just left. */
function stepAt(worker, t, pause) {
  const step = latest(worker.steps, t, "t0");
  return step && (step.t1 == null || t - step.t1 < pause) ? step : null;
}

function busy(worker, t) {
  const from = Math.max(0, t - WINDOW_S);
  let sum = 0;
  for (let n = until(worker.steps, t, "t0") - 1; n >= 0; n -= 1) {
    const step = worker.steps[n], t1 = Math.min(step.t1 ?? t, t);
    if (t1 < from) break;
    sum += t1 - Math.max(step.t0, from);
  }
  return t > from ? sum / (t - from) : 0;
}

function trayBytes(tray, t, smooth) {
  const at = until(tray.moves, t), last = tray.moves[at - 1], next = tray.moves[at];
  const done = last ? last.bytes : 0;
  if (!smooth || !next) return done;
  const from = last ? last.t : tray.started;
  return next.t > from ? done + (next.bytes - done) * (t - from) / (next.t - from) : done;
}

/** The gap that the eye has got used to: of this plate's last tokens, else of the whole kitchen's. */
function usualGap(order, count, common) {
  if (count < 3) return common;
  if (order.usualAt !== count) {
    const gaps = [];
    for (let n = Math.max(1, count - 12); n < count; n += 1) gaps.push(order.tokens[n].t - order.tokens[n - 1].t);
    order.usual = median(gaps);
    order.usualAt = count;
  }
  return order.usual;
}

function numbers(now) {
  const { log, t } = now, ttft = [];
  let last = null, stall = 0, tokens = 0;
  for (const order of log.orders.values()) {
    const first = order.tokens[0];
    if (!first || first.t > t) continue;
    ttft.push(first.t - order.t0);
    if (!last || first.t > last.tokens[0].t) last = order;
    const made = until(order.tokens, t);
    tokens += made - until(order.tokens, t - WINDOW_S);
    if (order.t1 == null || order.t1 > t) stall = Math.max(stall, t - order.tokens[made - 1].t);
  }
  const gap = usualOf(log, t);
  for (let n = until(log.gaps, t) - 1; n >= 0; n -= 1) stall = Math.max(stall, log.gaps[n].s);
  return { ttft: median(ttft), last: last && last.tokens[0].t - last.t0, gap, stall: gap == null ? null : stall,
    pace: tokens / Math.min(WINDOW_S, Math.max(t, 0.001)) };
}

/** The median of all gaps until t. In a simulation one gap stands for many plates'. */
function usualOf(log, t) {
  if (log.byLength?.version !== log.version) log.byLength = { version: log.version, gaps: [...log.gaps].sort((a, b) => a.s - b.s) };
  const gaps = log.byLength.gaps.filter((gap) => gap.t <= t), total = gaps.reduce((sum, gap) => sum + gap.plates, 0);
  const at = (place) => { for (const gap of gaps) if ((place -= gap.plates) < 0) return gap.s; return null; };
  return total ? (at((total - 1) >> 1) + at(total >> 1)) / 2 : null;
}

function median(values) {
  if (!values.length) return null;
  const sorted = Float64Array.from(values).sort(), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function stepSays(log, step) {
  const prep = step.pieces.map(([request, , tokens]) => `${tokens} tokens of order ${orderOf(log, request).number}`).join(", ");
  const plates = step.plates ? `one token on ${step.plates === 1 ? "1 plate" : `${step.plates} plates`}` : "";
  return [prep, plates].filter(Boolean).join(", and ");
}

function whereabouts(log, order, t) {
  if (order.t1 != null && order.t1 <= t) return order.reason === "cancelled" ? "cancelled" : "served";
  const plate = during(order.plates, t), tray = during(order.trays, t), prep = during(order.preps, t);
  if (plate) return `being plated, ${named(log, plate.worker)}`;
  if (prep) return `being prepped, ${named(log, prep.worker)}`;
  if (tray) return tray.started != null && tray.started <= t ? `on the pass to ${named(log, tray.target)}` : `waits for the pass to ${named(log, tray.target)}`;
  return "waits at the door";
}

// ---------------------------------------------------------------- words and numbers

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

// ---------------------------------------------------------------- nodes

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

// ---------------------------------------------------------------- stations

function door(view) {
  const list = el("ul", { class: "sk-tickets", role: "list" }), more = el("span", { class: "sk-more" }), count = el("span", { class: "sk-count" });
  const draw = slots(SEEN.tickets, () => ticketNode(view), list, more);
  const root = el("div", { class: "sk-station sk-door", role: "group", "aria-label": WORDS.door.name }, titled("door", 0, count), list, more);
  return { root, draw(now) { say(count, `${now.tickets.length}`); draw(now.tickets, now.t); } };
}

function ticketNode(view) {
  const number = chip(""), tokens = el("span", { class: "sk-grow" }), wait = el("span", { class: "sk-soft" }), size = el("i", { class: "sk-size" });
  const remove = cancelButton(view);
  const root = el("li", { class: "sk-ticket" },
    el("div", { class: "sk-row" }, number, tokens, remove),
    el("div", { class: "sk-row" }, el("span", { class: "sk-grow" }, size), wait));
  return { root, draw({ order, ticket }, t) {
    say(number, `${order.number}`);
    say(tokens, `${order.prompt_tokens} tok`);
    say(wait, secs(t - ticket.t0, 1));
    set(root, "title", order.prompt || null);
    style(size, "width", `${Math.min(100, 12 + 88 * Math.log2(1 + order.prompt_tokens / 32) / 6).toFixed(0)}%`);
    remove.aim(order);
  } };
}

function cancelButton(view) {
  const act = () => view.order({ do: "cancel", request: button.request });
  const button = el("button", { class: "sk-small", type: "button", hidden: true, onclick: act }, icon("cancel"));
  button.aim = (order) => {
    button.request = order.request;
    set(button, "aria-label", `Cancel order ${order.number}`);
    set(button, "hidden", !view.offers("cancel"));
  };
  return button;
}

/** One worker. What it does now stands on top; below it pans (prep) and plates (plating), as far as it has a hand in them. */
function workCard(view, key, number, name) {
  const hatch = key === "hatch", preps = key !== "plating" && !hatch, platesToo = key !== "prep", parts = [];
  const kill = el("button", { class: "sk-small", type: "button", hidden: true, "aria-label": `Kill ${name}`, title: `Kill ${name}`,
    onclick: () => view.order({ do: "kill", worker: name }) }, icon("kill"));
  const doing = el("strong"), detail = el("span", { class: "sk-detail" }), since = el("span", { class: "sk-value" });
  const banner = el("div", { class: "sk-now" }, el("div", { class: "sk-row" }, el("i", { class: "sk-sign" }), doing, since), detail);
  const shelf = meter(`KV ${WORDS.shelf.name.toLowerCase()}`, "shelf"), load = meter("Busy", "busy");
  shelf.root.title = `${WORDS.shelf.serving}: ${WORDS.shelf.says}`;
  if (preps) parts.push(pans(name, platesToo ? 2 : SEEN.pans));
  if (platesToo) parts.push(plateGrid(view, name));
  const root = el("div", { class: "sk-station sk-work", role: "group", "aria-label": `${WORDS[key].name} ${number || ""} (${name})`, "data-key": key },
    titled(key, number, kill), banner, ...parts.map((part) => part.root), hatch ? null : el("div", { class: "sk-foot" }, shelf.root, load.root));
  return { root, draw(now, seldom) {
    const worker = workerOf(now.log, name), step = stepAt(worker, now.t, now.log.pause), up = !worker.ups.length || during(worker.ups, now.t);
    const mode = !up ? "down" : step ? step.mode : hatch ? "hatch" : "idle";
    set(root, "data-mode", mode);
    say(doing, DOING[mode]);
    say(detail, up ? (step ? stepDetail(now.log, step) : idleSays(key, now)) : latest(worker.ups, now.t, "t0")?.why || "starting");
    say(since, step && now.t - step.t0 >= 0.1 ? secs(now.t - step.t0, 1) : "");
    set(kill, "hidden", !view.offers("kill") || !up);
    for (const part of parts) part.draw(now, worker, view.common);
    if (!seldom) return;
    const room = latest(worker.shelf, now.t), share = busy(worker, now.t);
    shelf.draw(room ? room.used / room.blocks : 0, room ? `${room.used}/${room.blocks} blocks` : "–");
    load.draw(share, `${Math.round(100 * share)} %`);
  } };
}

/** Many workers of one kind, a tile each: what it does is its colour and sign, its number what it has in hand. */
function tiles(key, names) {
  const list = el("div", { class: "sk-tiles", role: "list", "data-few": names.length <= 16 }), sum = el("p", { class: "sk-line sk-soft" });
  const made = names.map((name, n) => tile(key, name, n + 1, list));
  const root = el("div", { class: "sk-station sk-work sk-many", role: "group", "aria-label": `${names.length} times ${WORDS[key].name}`, "data-key": key },
    titled(key, 0, el("span", { class: "sk-count" }, `× ${names.length}`)), sum, list);
  return { root, draw(now, seldom) {
    const pans = new Map();
    for (const { prep } of now.preps) pans.set(prep.worker, (pans.get(prep.worker) || 0) + 1);
    let working = 0, used = 0, blocks = 0;
    for (const draw of made) {
      const { mode, room } = draw(now, pans, seldom);
      working += mode !== "idle" && mode !== "down";
      if (room) { used += room.used; blocks += room.blocks; }
    }
    say(sum, `${working} of ${names.length} at work. In each: ${key === "prep" ? "orders in prep" : "plates"}${blocks ? `; bar: its shelf (all: ${Math.round(100 * used / blocks)} % full)` : ""}`);
  } };
}

function tile(key, name, number, list) {
  const count = el("span", { class: "sk-hands" }), fill = el("i", { class: "sk-fill" });
  const root = el("div", { class: "sk-tile", role: "listitem" }, el("i", { class: "sk-sign" }), el("span", { class: "sk-called" }, number), count, el("span", { class: "sk-track" }, fill));
  list.append(root);
  return (now, pans, seldom) => {
    const worker = workerOf(now.log, name), step = stepAt(worker, now.t, now.log.pause), room = latest(worker.shelf, now.t);
    const mode = worker.ups.length && !during(worker.ups, now.t) ? "down" : step ? step.mode : "idle";
    const plates = now.plates.get(name)?.length || 0, preps = pans.get(name) || 0, hands = key === "prep" ? preps : plates;
    set(root, "data-mode", mode);
    set(root, "data-frozen", mode === "prefill" && plates > 0);
    say(count, hands ? `${hands}` : "");
    style(fill, "transform", `scaleX(${(room ? room.used / room.blocks : 0).toFixed(2)})`);
    if (seldom) set(root, "title", `${named(now.log, name)}: ${DOING[mode].toLowerCase()}, ${[key === "plating" ? "" : `${preps} in prep`, key === "prep" ? "" : `${plates} plates`].filter(Boolean).join(", ")}`);
    return { mode, room };
  };
}

const DOING = { prefill: "Prepping", decode: "Plating", mixed: "Plating + a portion of prep", idle: "Hands free", hatch: "Hands unseen", down: "Station is down" };

function stepDetail(log, step) {
  const tokens = step.pieces.reduce((sum, piece) => sum + piece[2], 0), first = step.pieces[0];
  const prep = !first ? "" : `${tokens} tok of ${step.pieces.length > 1 ? `${step.pieces.length} orders` : `order ${orderOf(log, first[0]).number}`}`;
  const plates = step.plates ? `1 token on ${step.plates === 1 ? "1 plate" : `${step.plates} plates`}` : "";
  return [plates, prep].filter(Boolean).join(" + ");
}
function idleSays(key, now) {
  if (key === "hatch") return "tokens come out as they are heard";
  if (key === "plating") return now.trays.length + now.waiting.length ? "waits for a tray" : "no plates";
  return now.tickets.length ? "orders wait at the door" : "no orders";
}

/** What is being prepped: done so far, and hatched what is in the pan in this very step. */
function pans(name, count) {
  const list = el("div", { class: "sk-pans" }), more = el("span", { class: "sk-more" });
  const draw = slots(count, () => {
    const number = chip(""), text = el("span", { class: "sk-value" }), done = el("i", { class: "sk-done" }), cooking = el("i", { class: "sk-cooking" });
    const root = el("div", { class: "sk-pan" }, number, el("span", { class: "sk-track" }, cooking, done), text);
    return { root, draw({ order, prep, made, next }) {
      say(number, `${order.number}`);
      say(text, !made && next >= prep.tokens ? `all ${next}` : `${made}/${prep.tokens}`); // in one go nothing can be seen of it
      style(done, "width", `${(100 * made / prep.tokens).toFixed(1)}%`);
      style(cooking, "width", `${(100 * next / prep.tokens).toFixed(1)}%`);
    } };
  }, list, more);
  return { root: el("div", { class: "sk-part" }, list, more), draw(now, worker) {
    draw(now.preps.filter(({ prep }) => prep.worker === name).map((item) => ({ ...item, ...prepared(worker, item, now.t) })));
  } };
}

function prepared(worker, { order, prep }, t) {
  let made = 0, next = 0;
  for (let n = until(worker.steps, t, "t0") - 1; n >= 0 && worker.steps[n].t0 >= prep.t0; n -= 1) {
    const step = worker.steps[n];
    for (const [request, start, tokens] of step.pieces) {
      if (request !== order.request) continue;
      next = Math.max(next, start + tokens);
      if (step.t1 != null && step.t1 <= t) made = Math.max(made, start + tokens);
    }
  }
  return { made, next };
}

/** As many plates as ever stood side by side, within what the eye can take in. A plate keeps its place. */
function plateGrid(view, name) {
  const list = el("div", { class: "sk-plates" }), more = el("span", { class: "sk-more" }), made = [];
  return { root: el("div", { class: "sk-part" }, list, more), draw(now, worker, common) {
    const sizes = [2, 4, 6, 9, 12].filter((size) => size <= view.mostPlates);
    const count = sizes.find((size) => size >= worker.slots.length) || sizes.at(-1), bySlot = [], beyond = [];
    while (made.length < count) { made.push(plateNode(view)); list.append(made.at(-1).root); }
    for (const item of now.plates.get(name) || []) if (item.plate.slot < count) bySlot[item.plate.slot] = item; else beyond.push(item);
    for (let n = 0; n < count && beyond.length; n += 1) bySlot[n] ||= beyond.shift();
    made.forEach((slot, n) => {
      set(slot.root, "hidden", n >= count);
      set(slot.root, "data-empty", !bySlot[n]);
      if (bySlot[n]) slot.draw(bySlot[n], now.t, common);
    });
    say(more, beyond.length ? `+${beyond.length} more plates` : "");
  } };
}

function plateNode(view) {
  const number = chip(""), count = el("span", { class: "sk-grow" }), pace = el("span", { class: "sk-soft" });
  const before = el("span"), newest = el("mark"), stalled = el("span", { class: "sk-stalled" }), remove = cancelButton(view);
  const root = el("div", { class: "sk-plate" }, el("div", { class: "sk-row" }, number, count, pace, remove),
    el("div", { class: "sk-answer" }, el("p", {}, before, newest)), el("div", { class: "sk-ice" }, icon("stall"), stalled));
  return { root, draw({ order, plate }, t, common) {
    const made = until(order.tokens, t), last = order.tokens[made - 1];
    const usual = usualGap(order, made, common), since = t - Math.max(last ? last.t : plate.t0, made > 1 ? 0 : plate.t0);
    const frozen = since > LONG_AT * usual ? "long" : since > FROZEN_AT * usual ? "short" : null;
    say(number, `${order.number}`);
    say(count, `${made}/${order.max_output_tokens}`);
    say(pace, made > 2 ? `${Number((1 / usual).toPrecision(2))}/s` : "");
    say(before, answer(order, made - 1).slice(-160));
    say(newest, last ? last.text : "");
    set(root, "data-frozen", frozen);
    say(stalled, frozen ? `stalled ${secs(since, 1)}` : "");
    remove.aim(order);
  } };
}

/** The belt: as thick as the link is wide. Trays stand where their bytes have got to. */
function pass(view) {
  const belts = sv("svg", { class: "sk-belts", role: "img", "aria-label": "Trays on the pass" }), rows = [];
  const trays = el("span", { class: "sk-row" }), others = el("span"), last = el("p", { class: "sk-line" });
  const queue = el("span"), waiting = el("p", { class: "sk-soft sk-waiting" }, queue, trays, others);
  const more = el("span", { class: "sk-more" }), wide = el("strong"), latency = el("span", { class: "sk-soft" });
  const slider = linkSlider(view), drawWaiting = slots(SEEN.waiting, () => {
    const root = el("span", { class: "sk-mini" });
    return { root, draw: ({ order }) => say(root, `${order.number}`) };
  }, trays, others);
  const root = el("div", { class: "sk-station sk-pass", role: "group", "aria-label": WORDS.pass.name },
    titled("pass"), el("p", { class: "sk-row sk-rate" }, wide, latency), waiting, belts, more, slider.root, last);
  return { root, belts, draw(now, seldom) {
    const width = view.widths.get(belts) || 240, many = rolesAt(now).filter(([, role]) => role === "decode_only").length > 1;
    const count = Math.max(1, Math.min(SEEN.belts, now.log.belts.length));
    while (rows.length < count) { rows.push(beltRow(rows.length)); belts.append(rows.at(-1).root); }
    set(belts, "height", `${count * 56 + 4}`);
    set(belts, "viewBox", `0 0 ${width} ${count * 56 + 4}`);
    rows.forEach((row, n) => row.draw(now, now.trays.find(({ tray }) => tray.slot === n), width, view.reduced, many));
    const hidden = now.trays.filter(({ tray }) => tray.slot >= count).length;
    say(more, hidden ? `+${hidden} more trays` : "");
    say(wide, rate(now.link ? now.link.bandwidth : null));
    say(latency, now.link?.latency ? `+ ${secs(now.link.latency)} latency` : "");
    set(waiting, "data-empty", !now.waiting.length);
    say(queue, `${now.waiting.length} waiting to cross:`);
    drawWaiting(now.waiting);
    slider.draw(now);
    if (seldom) say(last, lastTray(now, view.simulated));
  } };
}

function lastTray({ log, t }, simulated) {
  let best = null;
  for (const tray of log.trays) if (tray.t1 != null && tray.t1 <= t && tray.achieved != null && (!best || tray.t1 > best.t1)) best = tray;
  if (!best) return "No tray has crossed yet";
  const asked = best.configured == null ? "unpaced" : `set to ${rate(best.configured)}`, sum = simulated ? "" : (best.verified ? ", verified" : ", checksum WRONG");
  const took = best.seconds < 1e-6 ? `${bytes(best.nbytes)} at once` : `${bytes(best.nbytes)} in ${secs(best.seconds)} = ${rate(best.achieved)}`;
  return `Last: tray ${orderOf(log, best.request).number}, ${took} (${asked})${sum}`;
}

function beltRow(n) {
  const y = n * 56 + 38, belt = sv("rect", { class: "sk-belt", rx: 3 }), arrows = sv("path", { class: "sk-arrows" }), cut = sv("path", { class: "sk-cut" });
  const number = sv("text", { class: "sk-trayno", "text-anchor": "middle", y: 5 }), label = sv("text", { class: "sk-label", "text-anchor": "middle", y: -18 });
  const box = sv("g", { class: "sk-tray" }, sv("path", { d: "M-27-4h5M22-4h5M-27-4v5M27-4v5" }), sv("rect", { x: -22, y: -12, width: 44, height: 24, rx: 5 }), number);
  const tray = sv("g", {}, box, label), root = sv("g", {}, belt, arrows, cut, tray);
  return { root, draw(now, item, width, reduced, many) {
    const thick = beltPx(now.link ? now.link.bandwidth : null), middle = width / 2;
    for (const [key, value] of [["x", -12], ["width", width + 24], ["y", y - thick / 2], ["height", thick]]) set(belt, key, `${value}`);
    let d = "";
    for (let x = 6; x < width; x += 36) d += `M${x} ${y - 4}l5 4-5 4`;
    set(arrows, "d", thick > 9 ? d : "");
    set(cut, "d", thick ? "" : `M-11 ${y}H${middle - 14}M${middle + 14} ${y}H${width + 11}M${middle - 6} ${y - 8}l12 16M${middle + 6} ${y - 8}l-12 16`);
    set(tray, "visibility", item ? "visible" : "hidden");
    if (!item) return;
    const done = trayBytes(item.tray, now.t, !reduced), share = item.tray.nbytes ? done / item.tray.nbytes : 0;
    const x = 30 + (width - 60) * (reduced ? Math.floor(share * 2 + 0.001) / 2 : share), text = Math.min(Math.max(x, 66), width - 66);
    set(tray, "transform", `translate(${x.toFixed(1)} ${y})`);
    set(label, "x", `${(text - x).toFixed(1)}`);
    say(number, `${item.order.number}`);
    say(label, `${bytes(item.tray.nbytes)} · ${Math.floor(100 * share)} %${many ? ` → ${named(now.log, item.tray.target)}` : ""}`);
  } };
}

/** Acts while it is dragged, ten times a second at most; the page hears of it on release. */
function linkSlider(view) {
  const id = `sk-link-${Math.random().toString(36).slice(2)}`, value = el("output", { for: id }), hint = el("span", { class: "sk-soft" });
  let sent = 0, timer = 0, telling = 0, held = false;
  const act = () => {
    clearTimeout(timer);
    const wait = sent + 100 - performance.now();
    if (wait > 0) { timer = setTimeout(act, wait); return; }
    sent = performance.now();
    view.send({ do: "link", bandwidth_bytes_per_s: rateOf(+range.value), latency_s: view.latency });
  };
  const tell = () => {
    const bandwidth = rateOf(+range.value);
    say(value, rate(bandwidth));
    set(range, "aria-valuetext", rate(bandwidth));
    say(hint, likeFabric(view, bandwidth));
  };
  const range = el("input", { id, type: "range", min: 0, max: NOTCHES, step: 1,
    oninput: () => { held = true; tell(); if (view.isLive()) act(); },
    onchange: () => { held = false; view.linkSet = true; clearTimeout(telling); telling = setTimeout(() => view.emit("link", rateOf(+range.value)), 300); } });
  const root = el("div", { class: "sk-slider", hidden: true }, el("label", { for: id }, "Width of the belt"), range, value, hint);
  return { root, draw(now) {
    set(root, "hidden", !view.can.includes("link"));
    view.latency = now.link ? now.link.latency : 0;
    if (held || !now.link || (view.linkSet && !view.isLive())) return;
    if (performance.now() - sent < 600) return;
    const notch = notchOf(now.link.bandwidth);
    if (+range.value !== notch || !value.said) { range.value = notch; tell(); }
  } };
}

/** The scale ruler: the real fabric with the same shipping ratio, if the page has sent one. */
function likeFabric(view, bandwidth) {
  if (!view.ruler?.length || bandwidth == null) return "";
  const far = (mark) => Math.abs(Math.log(mark.bytes_per_s / bandwidth));
  const nearest = view.ruler.reduce((a, b) => (far(a) <= far(b) ? a : b));
  return `acts like ${nearest.label}`;
}

function served() {
  const list = el("ul", { class: "sk-done-list", role: "list" }), count = el("span", { class: "sk-count" }), more = el("span", { class: "sk-more" });
  const draw = slots(SEEN.served, () => {
    const number = chip(""), text = el("span", {}), root = el("li", { class: "sk-row" }, number, text);
    return { root, draw(order) {
      say(number, `${order.number}`);
      say(text, order.reason === "cancelled" ? "cancelled" : `${order.tokens.length} tok, TTFT ${secs(order.tokens[0] ? order.tokens[0].t - order.t0 : null)}`);
    } };
  }, list);
  const root = el("div", { class: "sk-station sk-served", role: "group", "aria-label": WORDS.served.name }, titled("served", 0, count), list, more);
  return { root, draw(now) {
    say(count, `${now.served.length}`);
    draw([...now.served].sort((a, b) => b.t1 - a.t1));
  } };
}

// ---------------------------------------------------------------- timeline

/** One lane a worker (prep above, plating below, as far as it does both), one for the pass; a playhead over all. */
function timeline(view) {
  const root = sv("svg", { class: "sk-time", role: "img", "aria-label": "What each station did when; the scrub slider below moves through it" });
  const lanes = sv("g"), veil = sv("rect", { class: "sk-veil", y: 0 }), head = sv("path", { class: "sk-head-line" });
  root.append(lanes, veil, head);
  let drawn = "", drawnAt = 0, box = null, tall = 0;
  const seek = (event) => { if (box) view.seek(box.from + (event.offsetX - box.left) / (box.width - box.left) * (box.to - box.from)); };
  root.addEventListener("pointerdown", (event) => { root.setPointerCapture(event.pointerId); seek(event); });
  root.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  return { root, draw(now, edge, stations) {
    const width = view.widths.get(root) || 600, [from, to] = windowOf(now.t, edge), left = 78;
    box = { from, to, left, width: width - 8, x: (t) => left + (t - from) / (to - from) * (width - 8 - left) };
    const key = [from, to, width, now.log.version, stations.key].join();
    if (key !== drawn && (!view.isLive() || performance.now() - drawnAt > 200)) {
      drawn = key;
      drawnAt = performance.now();
      tall = drawLanes(lanes, root, now.log, stations, box, edge);
    }
    const x = Math.max(left, Math.min(width - 8, box.x(now.t))).toFixed(1);
    set(veil, "x", x); set(veil, "width", `${Math.max(0, width - x)}`); set(veil, "height", `${Math.max(0, tall - 14)}`);
    set(head, "d", `M${x} 0V${tall - 14}`);
  } };
}

/** All of a short run; of a longer one, the minute around the playhead. */
function windowOf(t, edge) {
  if (edge <= 90) return [0, Math.max(1, [2, 3, 5, 10, 15, 20, 30, 45, 60, 90].find((end) => end >= edge) || edge)];
  const from = Math.max(0, Math.floor((t - 20) / 20) * 20);
  return [from, from + 60];
}

function drawLanes(lanes, root, log, stations, box, edge) {
  const parts = [];
  let y = 2;
  for (const { label, worker, key } of stations.lanes) {
    const both = key === "cook" || key === "portions", height = key === "pass" ? 16 : stations.many ? (both && stations.lanes.length < 24 ? 6 : 4) : both ? 20 : 12;
    const gap = stations.many && key !== "pass" ? 1 : 7;
    if (label) {
      parts.push(sv("text", { class: "sk-label", x: 0, y: stations.many && key !== "pass" ? y + 9 : y + height / 2 + 4 }));
      parts.at(-1).textContent = label;
    }
    if (!stations.many) parts.push(sv("path", { class: "sk-base", d: `M${box.left} ${y + height + 1.5}H${box.width}` }));
    if (key === "pass") parts.push(...trayBars(log, box, y, edge));
    else if (key === "hatch") parts.push(plateBars(log, box, y, height, edge), stallLine(log, worker, box, y + height + 1.5));
    else parts.push(...stepBars(workerOf(log, worker), box, y, height, both, edge));
    if (worker && key !== "hatch" && !stations.many) parts.push(stallLine(log, worker, box, y + height + 1.5));
    y += height + gap;
  }
  const every = [0.25, 0.5, 1, 2, 5, 10, 15, 30].find((step) => (box.to - box.from) / step <= Math.max(3, box.width / 90)) || 30;
  for (let t = Math.ceil(box.from / every) * every; t <= box.to; t += every) {
    const text = sv("text", { class: "sk-label", x: box.x(t), y: y + 9, "text-anchor": t === box.from ? "start" : t === box.to ? "end" : "middle" });
    text.textContent = `${Number(t.toFixed(2))} s`;
    parts.push(text);
  }
  lanes.replaceChildren(...parts);
  root.setAttribute("height", y + 14);
  root.setAttribute("viewBox", `0 0 ${box.width + 8} ${y + 14}`);
  return y + 14;
}

/** Steps as two paths, prefill and decode; neighbours closer than a pixel are one bar. */
function stepBars(worker, box, y, height, both, edge) {
  const rows = { prefill: [y, both ? height / 2 - 1 : height], decode: [both ? y + height / 2 : y, both ? height / 2 : height] };
  const out = [], bars = { prefill: [], decode: [] };
  for (let n = Math.max(0, until(worker.steps, box.from, "t0") - 1); n < worker.steps.length && worker.steps[n].t0 <= box.to; n += 1) {
    const step = worker.steps[n], x0 = Math.max(box.left, box.x(step.t0)), x1 = Math.max(x0 + 0.5, box.x(Math.min(box.to, step.t1 ?? edge)));
    for (const kind of step.mode === "mixed" ? ["prefill", "decode"] : [step.mode]) {
      const last = bars[kind].at(-1);
      if (last && x0 - last[1] < 0.8 && x1 - x0 < 6) last[1] = x1; else bars[kind].push([x0, x1]);
    }
  }
  for (const kind of ["prefill", "decode"]) {
    const [top, tall] = rows[kind];
    out.push(sv("path", { class: `sk-${kind}`, d: bars[kind].map(([a, b]) => `M${a.toFixed(1)} ${top}H${b.toFixed(1)}v${tall}H${a.toFixed(1)}z`).join("") }));
  }
  for (const up of worker.ups) {
    if (up.t1 == null || up.t1 < box.from || up.t1 > box.to) continue;
    const x = box.x(up.t1), middle = y + height / 2;
    out.push(sv("path", { class: "sk-fault", d: `M${x - 5} ${middle - 5}l10 10M${x + 5} ${middle - 5}l-10 10` }));
  }
  return out;
}

/** When answers were coming out, where no step can be seen. */
function plateBars(log, box, y, height, edge) {
  const spans = [...log.orders.values()].flatMap((order) => order.plates).filter((plate) => plate.t0 < box.to && (plate.t1 ?? edge) > box.from);
  const bar = (plate) => `M${Math.max(box.left, box.x(plate.t0)).toFixed(1)} ${y}H${Math.min(box.width, box.x(plate.t1 ?? edge)).toFixed(1)}v${height}H${Math.max(box.left, box.x(plate.t0)).toFixed(1)}z`;
  return sv("path", { class: "sk-decode", d: spans.map(bar).join("") });
}

/** Red where somebody's plate on this line was plainly frozen. */
function stallLine(log, worker, box, y) {
  const least = LONG_AT * (usualOf(log, Infinity) || Infinity);
  const stalls = log.gaps.filter((gap) => gap.worker === worker && gap.s > least && gap.t > box.from && gap.t - gap.s < box.to);
  const d = stalls.map((gap) => `M${Math.max(box.left, box.x(gap.t - gap.s)).toFixed(1)} ${y}H${Math.min(box.width, box.x(gap.t)).toFixed(1)}`);
  return sv("path", { class: "sk-stall-line", d: d.join("") });
}

function trayBars(log, box, y, edge) {
  let waits = "", moves = "";
  for (const tray of log.trays) {
    const end = tray.t1 ?? edge, row = y + 5.5 * Math.min(2, (tray.slot || 0) % 3);
    if (end < box.from || tray.t0 > box.to) continue;
    const a = Math.max(box.left, box.x(tray.t0)), b = box.x(tray.started ?? end), c = Math.max(b + 1, Math.min(box.width, box.x(end)));
    if (b > a) waits += `M${a.toFixed(1)} ${row + 2}H${b.toFixed(1)}`;
    if (tray.started != null) moves += `M${Math.max(a, b).toFixed(1)} ${row}H${c.toFixed(1)}v4.5H${Math.max(a, b).toFixed(1)}z`;
  }
  return [sv("path", { class: "sk-waits", d: waits }), sv("path", { class: "sk-moves", d: moves })];
}

// ---------------------------------------------------------------- kitchen

const NUMBERS = [["ttft", "First token (TTFT), median"], ["last", "TTFT, latest"], ["gap", "Token gap (ITL), median"],
  ["stall", "Longest stall"], ["pace", "Tokens per second"]];

/** One run: built once, rebuilt only when the stations themselves change. */
function kitchen(view) {
  const title = el("strong", { class: "sk-title" }), kind = el("span", { class: "sk-badge" }), status = el("span", { class: "sk-status" });
  const origin = el("span", { class: "sk-badge sk-origin" });
  const floor = el("div", { class: "sk-floor" }), line = timeline(view), strip = el("dl", { class: "sk-numbers" }), values = {};
  for (const [key, label] of NUMBERS) strip.append(el("div", {}, el("dt", {}, label), values[key] = el("dd", {}, "–")));
  const remark = el("p", { class: "sk-remark" }), table = orderTable(), hidden = el("p", { class: "sk-hidden", role: "status" });
  const root = el("section", { class: "sk-kitchen" }, el("div", { class: "sk-headline" }, title, kind, origin, status),
    strip, floor, line.root, legend(), remark, table.root, hidden);
  const always = { first: door(view), last: served(), middle: null };
  let stations = { key: null, all: [], lanes: [] }, numbersAt = 0, tableAt = 0, spokenAt = -Infinity;
  view.watch(line.root);
  return { root, draw(edge, force) {
    const t = Math.min(view.clock.t, edge), now = moment(view.log, t), clock = performance.now();
    const roles = rolesAt(now), key = JSON.stringify(roles), lines = roles.filter(([, role]) => role !== "prefill_only").length;
    view.mostPlates = Math.max(4, ((view.widths.get(line.root) || 900) < 540 ? 6 : 16) / (lines * view.crowd()));
    if (key !== stations.key) {
      stations = build(view, roles, always, key);
      floor.replaceChildren(...stations.nodes);
      set(floor, "data-kind", stations.split ? "split" : "joint");
      set(floor, "data-many", stations.many);
      const preps = Math.min(0.7, Math.max(0.3, 1 - lines / roles.length));
      style(floor, "--preps", `${(662 * preps).toFixed()}fr`);
      style(floor, "--platings", `${(662 * (1 - preps)).toFixed()}fr`);
    }
    const seldom = force || clock - numbersAt > 200;
    say(title, view.title);
    set(title, "hidden", !view.title);
    set(root, "aria-label", view.title || "Kitchen");
    const deployment = now.deployed?.deployment || view.log.deployment;
    say(kind, DEPLOYMENTS[deployment] || deployment || "");
    say(status, view.says());
    say(origin, view.simulated ? "simulated" : view.isLive() ? "" : view.stream ? (t < edge ? "replay" : "the run is over") : "a recording");
    set(origin, "hidden", !origin.said);
    set(status, "data-live", view.isRunning());
    if (seldom) {
      numbersAt = clock;
      const figures = numbers(now);
      view.common = figures.gap || 0.25;
      for (const name of ["ttft", "last", "gap", "stall"]) say(values[name], secs(figures[name]));
      say(remark, firstTokenSays(now, roles));
      say(values.pace, figures.pace >= 1000 ? Math.round(figures.pace).toLocaleString("en") : figures.pace ? figures.pace.toFixed(1) : "–");
    }
    for (const station of stations.all) station.draw(now, seldom);
    line.draw(now, edge, stations);
    if ((force || clock - tableAt > 500) && table.root.open) { tableAt = clock; table.draw(now); }
    if (clock - spokenAt > 5000 || (force && !view.clock.playing)) { spokenAt = clock; say(hidden, summary(now)); }
  } };
}

/** The stations for these roles. What does not depend on them stays, so that a slider stays in the hand that drags it. */
function build(view, roles, always, key) {
  const count = {}, totals = {}, groups = { prep: [], plating: [], cook: [], portions: [], hatch: [] }, lanes = [], many = roles.length > CARDS;
  for (const [, role] of roles) totals[STATION_OF[role] || "cook"] = (totals[STATION_OF[role] || "cook"] || 0) + 1;
  for (const [name, role] of roles) {
    const station = STATION_OF[role] || "cook", number = count[station] = (count[station] || 0) + 1;
    if (!many) groups[station].push(workCard(view, station, totals[station] > 1 ? number : 0, name));
    const short = station === "portions" ? "cook" : station, called = short + (totals[station] > 1 ? ` ${number}` : "");
    view.log.names.set(name, called);
    lanes.push({ key: station, worker: name, label: !many ? called : number > 1 ? "" : `${short} × ${totals[station]}` });
  }
  if (many) for (const station of Object.keys(totals)) {
    groups[station].push(tiles(station, lanes.filter((lane) => lane.key === station).map((lane) => lane.worker)));
  }
  const { first, last } = always, split = groups.prep.length > 0, middle = split ? always.middle ||= pass(view) : null;
  if (split) { lanes.splice(totals.prep, 0, { key: "pass", label: "the pass" }); view.watch(middle.belts); }
  const stack = (cards, name) => el("div", { class: `sk-stack sk-${name}` }, ...cards.map((card) => card.root));
  const joint = [...groups.cook, ...groups.portions, ...groups.hatch];
  const between = split ? [stack(groups.prep, "preps"), middle.root, stack(groups.plating, "platings")] : [stack(joint, "joints")];
  const nodes = [first.root, ...between, last.root];
  return { key, split, many, nodes, lanes, all: [first, ...groups.prep, ...(middle ? [middle] : []), ...groups.plating, ...joint, last] };
}

/** Where the first token is made decides in which gap the time on the pass can be seen. */
function firstTokenSays(now, roles) {
  const prep = roles.filter(([, role]) => role === "prefill_only").map(([name]) => name);
  const first = prep.length && [...now.log.orders.values()].find((order) => order.tokens[0])?.tokens[0];
  if (!first) return "";
  return prep.includes(first.worker)
    ? "The first token is made at the prep station: time on the pass shows in the gap before the second token."
    : "The first token is made at the plating line: time on the pass shows in the TTFT.";
}

function legend() {
  const part = (kind, text) => el("span", {}, el("i", { class: `sk-swatch sk-is-${kind}` }), text);
  return el("p", { class: "sk-legend" }, part("prefill", "prep (prefill)"), part("moves", "tray on the pass (KV cache)"),
    part("decode", "plating (decode)"), part("frozen", "frozen: no token for a long time"));
}

function summary(now) {
  const plated = [...now.plates.values()].reduce((sum, here) => sum + here.length, 0);
  const crossing = now.waiting.length + now.trays.length;
  return `At ${secs(now.t, 1)}: ${now.tickets.length} orders waiting, ${now.preps.length} in prep, `
    + `${crossing} at the pass, ${plated} being plated, ${now.served.length} served.`;
}

function orderTable() {
  const body = el("tbody"), rows = new Map();
  const head = ["Order", "State", "Prompt tokens", "TTFT", "Tokens", "Longest gap", "Tray"].map((name) => el("th", { scope: "col" }, name));
  const root = el("details", { class: "sk-details" }, el("summary", {}, "Orders as a table"),
    el("div", { class: "sk-scroll", tabindex: 0, role: "group", "aria-label": "Orders" },
      el("table", {}, el("thead", {}, el("tr", {}, ...head)), body)));
  return { root, draw(now) {
    for (const order of now.log.orders.values()) {
      if (!rows.has(order.request)) {
        const cells = [el("th", { scope: "row" }), ...head.slice(1).map(() => el("td"))];
        rows.set(order.request, { cells, row: el("tr", {}, ...cells) });
        body.append(rows.get(order.request).row);
      }
      const { cells, row } = rows.get(order.request), made = until(order.tokens, now.t), tray = order.trays.filter((one) => one.t0 <= now.t).at(-1);
      set(row, "hidden", order.t0 > now.t);
      let gap = null;
      for (let n = 1; n < made; n += 1) gap = Math.max(gap, order.tokens[n].t - order.tokens[n - 1].t);
      const landed = tray && tray.t1 != null && tray.t1 <= now.t && tray.achieved != null;
      const ttft = made ? secs(order.tokens[0].t - order.t0) : "–", carried = tray ? bytes(tray.nbytes) : "–";
      [`${order.number}`, whereabouts(now.log, order, now.t), `${order.prompt_tokens}`, ttft, `${made} / ${order.max_output_tokens}`,
        secs(gap), landed ? `${carried} in ${secs(tray.seconds)}` : carried].forEach((text, n) => say(cells[n], text));
    }
  } };
}

// ---------------------------------------------------------------- player

function player(stage) {
  const button = (face, label, act) => el("button", { type: "button", "aria-label": label, title: label, onclick: act }, face);
  const { clock } = stage;
  const play = button(icon("play"), "Play (space)", () => stage.toggle());
  const live = el("button", { type: "button", class: "sk-live", onclick: () => stage.follow() }, "Live");
  const speeds = SPEEDS.map(([speed, text]) => button(text, `Speed ${text}`, () => stage.pace(speed)));
  const scrub = el("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": "Time", class: "sk-scrub",
    oninput: () => stage.seek(+scrub.value / 1000 * stage.edge()) });
  const time = el("output", { class: "sk-clock" }), caption = el("p", { class: "sk-caption", role: "status" });
  const root = el("div", { class: "sk-player", role: "group", "aria-label": "Player" },
    el("div", { class: "sk-buttons" }, button(icon("back"), "Previous event (,)", () => stage.step(-1)), play,
      button(icon("ahead"), "Next event (.)", () => stage.step(1)), button(icon("replay"), "Replay from the start", () => stage.replay())),
    scrub, time, el("div", { class: "sk-buttons", role: "group", "aria-label": "Speed" }, ...speeds), live, caption);
  return { root, draw() {
    const edge = stage.edge();
    set(play.firstChild.firstChild, "d", ICONS[clock.playing ? "pause" : "play"]);
    set(play, "aria-label", clock.playing ? "Pause (space)" : "Play (space)");
    set(play, "title", clock.playing ? "Pause (space)" : "Play (space)");
    speeds.forEach((node, n) => set(node, "aria-pressed", SPEEDS[n][0] === clock.speed ? "true" : "false"));
    set(live, "hidden", !stage.isLive());
    set(live, "aria-pressed", clock.following ? "true" : "false");
    const value = edge ? Math.round(1000 * clock.t / edge) : 0;
    if (+scrub.value !== value) scrub.value = value;
    set(scrub, "aria-valuetext", `${clock.t.toFixed(1)} of ${edge.toFixed(1)} seconds`);
    say(time, `${clock.t.toFixed(2)} / ${edge.toFixed(1)} s`);
    say(caption, clock.caption || "");
  } };
}

/** One clock, one animation frame, any number of kitchens. `emit(name, value)` tells the host of a user's choice. */
export function createKitchens(root, { emit = () => {} } = {}) {
  const clock = { t: 0, playing: false, speed: 1, following: false, caption: "" }, quiet = matchMedia("(prefers-reduced-motion: reduce)");
  const wrapper = el("div", { class: "sk", tabindex: -1 }), floor = el("div", { class: "sk-kitchens" }), views = new Map();
  let frame = 0, timer = 0, before = 0, seen = true, gone = false;

  const stage = {
    clock,
    edge: () => Math.max(0, ...[...views.values()].map((view) => view.edge())),
    isLive: () => [...views.values()].some((view) => view.isLive()),
    /** Where "live" is: at the run that is going on. One that is over beside it is replayed in step with it. */
    front() {
      const running = [...views.values()].filter((view) => view.isRunning()).map((view) => view.edge());
      return running.length ? Math.max(...running) : stage.edge();
    },
    toggle() {
      if (!clock.playing && !stage.isLive() && clock.t >= stage.edge()) clock.t = stage.opening();
      Object.assign(clock, { playing: !clock.playing, following: false, caption: "" });
      before = 0;
      wake();
    },
    follow() { Object.assign(clock, { following: true, playing: true, speed: 1, caption: "" }); wake(); },
    pace(speed) { clock.speed = speed; if (speed !== 1) clock.following = false; wake(); },
    seek(t) { clock.t = Math.max(0, Math.min(t, stage.edge())); clock.following = false; clock.caption = ""; wake(true); },
    replay() { clock.t = stage.opening(); Object.assign(clock, { playing: true, following: false, caption: "" }); before = 0; wake(true); },
    opening: () => Math.max(0, Math.min(...[...views.values()].map((view) => view.log.start)) - 0.02) || 0,
    step(way) {
      const near = [...views.values()].map((view) => neighbour(view.log, clock.t, way)).filter(Boolean);
      Object.assign(clock, { playing: false, following: false });
      if (!near.length) { wake(true); return; }
      const t = way > 0 ? Math.min(...near.map((one) => one.t)) : Math.max(...near.map((one) => one.t));
      Object.assign(clock, { t, caption: `${t.toFixed(3)} s: ${near.filter((one) => one.t === t).map((one) => one.says).join("; ")}` });
      wake(true);
    },
  };
  const controls = player(stage), sheet = el("style");
  sheet.textContent = CSS;
  wrapper.append(sheet, floor, controls.root);
  root.append(wrapper);

  const draw = (force) => { for (const view of views.values()) view.scene.draw(view.edge(), force); controls.draw(); set(wrapper, "data-playing", clock.playing); };
  function tick(now) {
    frame = 0;
    const passed = before ? Math.min(0.25, (now - before) / 1000) : 0, edge = stage.edge();
    before = now;
    if (clock.playing && clock.following) clock.t = stage.front() < clock.t - 1 ? stage.front() : Math.max(clock.t, stage.front());
    else if (clock.playing) clock.t = Math.min(edge, clock.t + passed * clock.speed);
    if (clock.playing && clock.t >= edge) { if (stage.isLive()) clock.following = clock.speed >= 1; else clock.playing = false; }
    draw(!clock.playing);
    if (!clock.playing) { before = 0; return; }
    if (quiet.matches || (clock.following && [...views.values()].every((view) => view.idle()))) timer = setTimeout(wake, 250); else wake();
  }
  function wake(force) {
    if (gone) return;
    if (force === true && !clock.playing) before = 0;
    clearTimeout(timer);
    if (!frame && seen) frame = requestAnimationFrame(tick);
  }

  const sizes = new ResizeObserver((entries) => {
    for (const view of views.values()) for (const { target, contentRect } of entries) if (view.widths.has(target)) view.widths.set(target, contentRect.width);
    wake();
  });
  // on a busy machine the scene is away and back, or back and away, before this hears of it: the last counts
  const sight = new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; if (seen) wake(); else { cancelAnimationFrame(frame); frame = 0; } });
  sight.observe(wrapper);
  const restyle = () => paint(wrapper);
  const themes = new MutationObserver(restyle);
  const attributeFilter = ["class", "style", "data-theme", "data-jp-theme-light"];
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true, attributeFilter });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", restyle);
  quiet.addEventListener("change", wake);
  wrapper.addEventListener("keydown", (event) => {
    const at = event.composedPath()[0], press = { " ": () => stage.toggle(), ",": () => stage.step(-1), ".": () => stage.step(1) }[event.key];
    if (!press || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && at.closest?.("button, summary"))) return;
    event.preventDefault();
    press();
  });
  wrapper.addEventListener("toggle", () => wake(true), true);

  function newView(spec) {
    const view = { id: spec.id, log: newLog(), clock, widths: new Map(), common: 0.25, can: [], feed: null, over: false, offset: null, key: null, emit,
      isLive: () => !!view.feed && !view.over,
      isRunning: () => view.isLive() && view.offset != null, // before that it waits for its turn
      edge() {
        if (!view.isLive()) return view.log.end + (view.log.end ? TAIL_S : 0);
        if (view.offset == null) return view.log.end;
        return Math.max(0, (view.feed.isOpen() ? performance.now() / 1000 + view.offset : view.heardAt) - LIVE_LAG_S); // deaf is not stalled
      },
      offers: (what) => view.can.includes(what) && view.isLive() && (clock.following || clock.t > view.edge() - 0.5),
      idle: () => { for (const order of view.log.orders.values()) if (order.t1 == null || order.t1 > clock.t) return false; return true; },
      send: (command) => view.feed?.send(command),
      order(command) { view.send(command); wrapper.focus({ preventScroll: true }); }, // the button pressed will soon be gone
      seek: stage.seek,
      crowd: () => views.size,
      watch(node) { view.widths.set(node, 0); sizes.observe(node); },
      get reduced() { return quiet.matches; },
      says: () => (view.isLive() ? (view.isRunning() || !view.feed.isOpen() ? view.feed.says() : "waiting for its turn") : view.note),
    };
    view.scene = kitchen(view);
    return view;
  }

  function hear(view, message) {
    if (message.now != null) { view.heardAt = message.now; view.offset = Math.max(view.offset ?? -Infinity, message.now - performance.now() / 1000); }
    if (message.motions) ingest(view.log, message.motions);
    if (message.over) { view.over = true; view.feed?.close(); }
    wake();
  }

  /** Take what the page sends, as often as it sends it: only a new run starts anew. `motions` may be JSON: a long run
   *  costs the page less so. */
  function take(view, spec, data) {
    Object.assign(view, { title: spec.title || "", note: spec.note || "", simulated: spec.simulated, ruler: spec.ruler || data.ruler || [], can: data.can || [] });
    const key = JSON.stringify([spec.stream, spec.run, spec.motions?.length, spec.motions?.at(-1)]);
    if (key === view.key) return false;
    const sameRun = view.key && (spec.run != null ? spec.run === view.run : view.stream && (!spec.stream || spec.stream === view.stream));
    const sameStream = spec.stream && spec.stream === view.stream;
    Object.assign(view, { key, run: spec.run });
    if (!sameStream) { view.feed?.close(); Object.assign(view, { feed: null, offset: null, over: false, stream: spec.stream }); }
    if (spec.motions || !sameRun) { view.log = newLog(); view.log.deployment = spec.deployment; view.log.pause = spec.simulated ? 0 : PAUSE_S; ingest(view.log, typeof spec.motions === "string" ? JSON.parse(spec.motions) : spec.motions || []); }
    if (spec.stream && !sameStream) view.feed = openFeed(spec.stream, spec.seq, (message) => hear(view, message), wake);
    return !sameRun;
  }

  function update(data) {
    let fresh = false;
    const wanted = new Set((data.kitchens || []).map((spec) => spec.id));
    for (const [id, view] of views) if (!wanted.has(id)) { view.feed?.close(); view.scene.root.remove(); views.delete(id); }
    for (const spec of data.kitchens || []) {
      if (!views.has(spec.id)) { views.set(spec.id, newView(spec)); floor.append(views.get(spec.id).scene.root); }
      fresh = take(views.get(spec.id), spec, data) || fresh;
    }
    set(floor, "data-count", `${views.size}`);
    if (fresh) { if (stage.isLive()) stage.follow(); else stage.replay(); clock.t = stage.isLive() ? 0 : clock.t; clock.speed = data.speed || clock.speed; }
    restyle();
    wake(true);
  }

  /** To another place in the document, in the middle of whatever it plays. */
  function move(place) { place.append(wrapper); restyle(); wake(true); }

  function destroy() {
    gone = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    for (const view of views.values()) view.feed?.close();
    for (const observer of [sizes, sight, themes]) observer.disconnect();
    dark.removeEventListener("change", restyle);
    quiet.removeEventListener("change", wake);
    wrapper.remove();
  }
  return { update, move, destroy, hear: (id, message) => views.has(id) && hear(views.get(id), message), stage };
}

/** The nearest moment before or after t at which something happened, and what. */
function neighbour(log, t, way) {
  const all = happened(log), at = way > 0 ? until(all, t + 1e-9) : until(all, t - 1e-9) - 1;
  if (!all[at]) return null;
  const when = all[at].t, first = way > 0 ? at : until(all, when - 1e-9), says = [];
  for (let n = first; n < all.length && all[n].t === when; n += 1) says.push(typeof all[n].what === "function" ? all[n].what() : all[n].what);
  return { t: when, says: says.length > 3 ? `${says.slice(0, 3).join("; ")}; and ${says.length - 3} more` : says.join("; ") };
}

/** Light or dark follows from the colour that is really behind the scene. */
function paint(wrapper) {
  let paper = null;
  for (let node = wrapper.parentNode; node && !paper; node = node.parentNode || node.host) {
    if (!(node instanceof Element)) continue;
    const colour = getComputedStyle(node).backgroundColor, parts = (colour.match(/[\d.]+/g) || []).map(Number);
    if (parts.length >= 3 && (parts[3] ?? 1) > 0.5) paper = colour.startsWith("color(") ? parts.slice(0, 3).map((part) => part * 255) : parts.slice(0, 3);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");
  paper ||= dark ? [18, 18, 18] : [255, 255, 255];
  const [r, g, b] = paper;
  wrapper.style.setProperty("--paper", `rgb(${r} ${g} ${b})`);
  set(wrapper, "data-theme", 0.2126 * r + 0.7152 * g + 0.0722 * b < 128 ? "dark" : "light");
}

// ---------------------------------------------------------------- feed

function openFeed(path, since, hear, changed) {
  let seq = since || 0, socket = null, closed = false, wait = 400, timer = 0;
  function connect() {
    const url = new URL(path, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    if (seq) url.searchParams.set("since", seq);
    socket = new WebSocket(url);
    socket.onopen = changed;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      wait = 400;
      if (message.seq != null && message.seq <= seq) return;
      seq = message.seq ?? seq;
      hear(message);
    };
    socket.onclose = () => { if (closed) return; changed(); timer = setTimeout(connect, wait); wait = Math.min(5000, wait * 2); };
  }
  connect();
  return {
    send(command) { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command)); },
    isOpen: () => socket.readyState === WebSocket.OPEN,
    says: () => (socket.readyState === WebSocket.OPEN ? "live" : "connecting…"),
    close() { closed = true; clearTimeout(timer); socket.close(); },
  };
}

// ---------------------------------------------------------------- hosts

const MOUNTED = new WeakMap();

/** Streamlit calls this again on every change of data or theme; the scene stays. When changes follow each other closely it
 *  also cleans up after a call that a later one has overtaken: by then the scene is the later call's. */
function mountStreamlit(component) {
  const { parentElement, data } = component;
  let mounted = MOUNTED.get(parentElement);
  if (!mounted) {
    mounted = { component };
    const emit = (name, value) => mounted.component.setStateValue?.(name, value);
    mounted.scene = takeOver(parentElement, emit) || createKitchens(parentElement, { emit });
    MOUNTED.set(parentElement, mounted);
  }
  mounted.component = component;
  mounted.scene.update(data || {});
  return () => { if (mounted.component === component) { mounted.scene.destroy(); MOUNTED.delete(parentElement); } };
}

/** The kitchen that has played while Streamlit was loading (assets/opening.js), if there is one. Streamlit may keep what it
 *  has built hidden for some frames. */
function takeOver(parentElement, emit) {
  const opening = globalThis.splitKitchenOpening, place = parentElement.host || parentElement;
  if (!opening) return null;
  delete globalThis.splitKitchenOpening;
  opening.emit = emit;
  const sight = new ResizeObserver(() => {
    if (!place.clientWidth) return;
    sight.disconnect();
    opening.scene.move(parentElement);
    opening.cover.remove();
  });
  sight.observe(place);
  return opening.scene;
}

/** Jupyter: the trait `data` as above; messages of a live run as {kitchen, now, motions, over}. */
function render({ model, el: node }) {
  const scene = createKitchens(node, { emit: (name, value) => { if (model.get(name) !== undefined) { model.set(name, value); model.save_changes(); } } });
  const update = () => scene.update(model.get("data") || {}), hear = (message) => scene.hear(message.kitchen, message);
  model.on("change:data", update);
  model.on("msg:custom", hear);
  update();
  return () => { model.off("change:data", update); model.off("msg:custom", hear); scene.destroy(); };
}

export default function kitchens(host) { return host?.parentElement ? mountStreamlit(host) : { render }; }

// ---------------------------------------------------------------- looks

const CSS = `
.sk { --ink: var(--st-text-color, var(--jp-ui-font-color1, #1f2328)); --soft: #57606a; --hair: #d0d7de; --edge: #7d8590;
  --prep: #0072b2; --pass: #b35900; --plate: #00785a; --stall: #b3261e; --tint: 9%; --s: 11px;
  container-type: inline-size; box-sizing: border-box; color: var(--ink); text-align: left;
  font: 13px/1.35 var(--st-font, var(--jp-ui-font-family, system-ui, sans-serif)); font-variant-numeric: tabular-nums; }
.sk[data-theme=dark] { --ink: var(--st-text-color, var(--jp-ui-font-color1, #e6edf3)); --soft: #a9b4c0; --hair: #3b434d; --edge: #8b949e;
  --prep: #56b4e9; --pass: #e69f00; --plate: #3dd6a3; --stall: #ff8a80; --tint: 14%; }
.sk *, .sk *::before, .sk *::after { box-sizing: border-box; }
.sk p, .sk ul, .sk dl, .sk dd { margin: 0; padding: 0; }
.sk ul { list-style: none; }
.sk [hidden] { display: none !important; }
.sk :focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; scroll-margin-bottom: 96px; }
.sk:focus { outline: none; }
.sk-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.sk-kitchens { display: grid; gap: 28px; }
.sk-kitchen { container-type: inline-size; min-width: 0; position: relative; }
@container (max-width: 539.9px) { .sk-kitchen { display: flex; flex-direction: column; } .sk-floor ~ * { order: 2; }
  .sk-kitchen > .sk-numbers { order: 1; margin-top: 10px; } } /* on a phone what moves comes first */
@container (min-width: 1000px) { .sk-kitchens[data-count="2"] { grid-template-columns: 1fr 1fr; } }
@container (min-width: 940px) { .sk-kitchen > * { --s: 12px; } }
.sk-headline { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 10px; margin-bottom: 8px; }
.sk-title { font-size: 17px; }
.sk-origin { border-style: dashed !important; } .sk-badge { border: 1px solid var(--edge); border-radius: 99px; padding: 0 9px; font-size: 12px; }
.sk-status { color: var(--soft); font-size: 12px; margin-left: auto; }
.sk-status[data-live]::before { content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; background: var(--stall); margin-right: 6px; }
.sk-numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(88px, 1fr)); gap: 6px 14px; margin-bottom: 10px !important; }
.sk .sk-numbers dt { float: none; width: auto; padding: 0; font-size: var(--s); font-weight: 400; line-height: 1.25; color: var(--soft); }
.sk-numbers > div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.sk .sk-numbers dd { margin: 0; font-size: 20px; font-weight: 600; line-height: 1.2; }

.sk-floor { display: grid; gap: 10px; grid-template-columns: minmax(0, 1fr); align-items: stretch; }
@container (min-width: 540px) {
  .sk-floor[data-kind=split] { grid-template-columns: minmax(0, 1.05fr) minmax(0, .95fr) minmax(0, 1.85fr); }
  .sk-floor[data-kind=split] .sk-door, .sk-floor[data-kind=split] .sk-served { grid-column: 1 / -1; }
}
@container (min-width: 940px) {
  .sk-floor[data-kind=split] { grid-template-columns: minmax(0, 150fr) minmax(0, 212fr) minmax(0, 232fr) minmax(0, 450fr) minmax(0, 166fr); }
  .sk-floor[data-kind=joint] { grid-template-columns: minmax(0, 150fr) minmax(0, 894fr) minmax(0, 166fr); }
  .sk-floor[data-kind=split][data-many] { grid-template-columns: minmax(0, 150fr) minmax(0, var(--preps)) minmax(0, 232fr) minmax(0, var(--platings)) minmax(0, 166fr); }
  .sk-floor .sk-door, .sk-floor .sk-served { grid-column: auto !important; }
}
.sk-stack { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.sk-preps, .sk-platings { grid-template-columns: minmax(0, 1fr); }
.sk-station { border: 1px solid var(--hair); border-radius: 10px; padding: 9px 10px;  background: color-mix(in srgb, var(--ink) 3%, var(--paper)); min-width: 0; display: flex; flex-direction: column; gap: 7px; }
.sk-work[data-key=prep] { border-top: 4px solid var(--prep); } .sk-work[data-key=plating] { border-top: 4px solid var(--plate); } .sk-pass { border-color: transparent; border-top: 4px solid var(--pass); border-radius: 0; background: none; }
.sk-work[data-key=cook], .sk-work[data-key=portions] { border-top: 0; padding-top: 13px; background: linear-gradient(90deg, var(--prep) 50%, var(--plate) 50%) top / 100% 4px no-repeat, color-mix(in srgb, var(--ink) 3%, var(--paper)); }
.sk-top { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 4px 7px; }
.sk-name { flex: 1; min-width: 0; display: flex; flex-direction: column; line-height: 1.2; }
.sk-name strong { font-size: 14px; } .sk-serving { font-size: var(--s); color: var(--soft); }
.sk-says { display: none; font-size: var(--s); flex: 1 0 100%; }
@container (min-width: 940px) { .sk-says { display: block; min-height: 45px; } } @container (max-width: 539.9px) { .sk-says { display: block; } }
.sk-icon { width: 20px; height: 20px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round; }
.sk-count { font-weight: 600; white-space: nowrap; } .sk-soft, .sk-detail, .sk-more { color: var(--soft); font-size: var(--s); }
.sk-line { font-size: var(--s); min-height: 15px; }
.sk-row { display: flex; align-items: center; gap: 6px; min-width: 0; } .sk-grow { flex: 1; min-width: 0; white-space: nowrap; }
.sk-chip { min-width: 20px; padding: 0 4px; border-radius: 5px; background: var(--ink); color: var(--paper); font-size: 12px; font-weight: 700; text-align: center; line-height: 18px; flex: none; }
.sk-small { width: 24px; height: 24px; padding: 0; border: 1px solid var(--edge); border-radius: 6px; background: none; color: inherit; font: inherit; line-height: 1; cursor: pointer; flex: none; display: grid; place-items: center; margin: -3px 0; } .sk-small .sk-icon { width: 14px; height: 14px; }
.sk-more:empty { display: none; }

.sk-ticket .sk-small { margin: 0; }
.sk-tickets { display: grid; grid-auto-rows: 1fr; gap: 6px; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); }
.sk-ticket { padding: 4px 6px 5px; background: color-mix(in srgb, var(--ink) 5%, var(--paper)); border: 1px solid var(--edge); border-radius: 3px; font-size: 12px; min-height: 45px; }
.sk-ticket[data-empty] { border-style: dashed; border-color: var(--hair); background: none; } .sk-ticket[data-empty] > * { visibility: hidden; }
.sk-size { display: block; height: 4px; border-radius: 2px; background: var(--prep); }
.sk-served li { font-size: 11px; min-height: 20px; white-space: nowrap; } .sk-served li[data-empty] { visibility: hidden; }
.sk-done-list { display: grid; gap: 5px; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); }

.sk-now { border-radius: 7px; padding: 5px 6px 6px 7px; border: 1px solid var(--hair); border-left: 6px solid var(--edge); min-height: 47px; }
.sk-now strong { flex: 1; font-size: 14px; } .sk-detail { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; color: var(--ink); }
.sk-value { font-size: 12px; white-space: nowrap; }
.sk-work[data-mode=prefill] .sk-now { border-left-color: var(--prep); background: color-mix(in srgb, var(--prep) var(--tint), var(--paper)); }
.sk-work[data-mode=decode] .sk-now { border-left-color: var(--plate); background: color-mix(in srgb, var(--plate) var(--tint), var(--paper)); }
.sk-work[data-mode=mixed] .sk-now { border-left: 0; padding-left: 14px; background: linear-gradient(var(--plate) 50%, var(--prep) 50%) left / 6px 100% no-repeat, color-mix(in srgb, var(--plate) var(--tint), var(--paper)); }
.sk-work[data-mode=down] .sk-now { border: 1px dashed var(--stall); border-left: 6px solid var(--stall); } .sk-work[data-mode=down] .sk-part { opacity: .45; }
@container (min-width: 540px) and (max-width: 939.9px) { .sk-preps .sk-sign { display: none; } }
.sk-sign { width: 11px; height: 11px; flex: none; border: 2px solid var(--edge); }
[data-mode=prefill] > .sk-sign, .sk-work[data-mode=prefill] .sk-sign { background: var(--prep); border-color: var(--prep); } [data-mode=decode] > .sk-sign, .sk-work[data-mode=decode] .sk-sign { background: var(--plate); border-color: var(--plate); border-radius: 50%; }
[data-mode=mixed] > .sk-sign, .sk-work[data-mode=mixed] .sk-sign { background: linear-gradient(90deg, var(--prep) 50%, var(--plate) 50%); border-color: transparent; border-radius: 0 50% 50% 0; }
.sk-tiles { display: grid; gap: 4px; grid-template-columns: repeat(auto-fill, minmax(44px, 1fr)); } .sk-tiles[data-few] { gap: 7px; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); }
.sk-called { display: none; flex: 1; font-size: 11px; line-height: 14px; color: var(--soft); } .sk-tiles[data-few] .sk-called { display: block; } .sk-tiles[data-few] .sk-tile { height: 62px; padding: 7px 9px; gap: 6px; } .sk-tiles[data-few] .sk-hands { font-size: 22px; line-height: 24px; margin-top: 8px; } .sk-tiles[data-few] .sk-track { inset: auto 9px 7px 9px; }
.sk-tile { position: relative; height: 38px; padding: 4px 6px; border: 1px solid var(--hair); border-radius: 6px; display: flex; align-items: flex-start; justify-content: space-between; overflow: hidden; background: var(--paper); }
.sk-tile .sk-track { position: absolute; inset: auto 5px 4px 5px; height: 6px; } .sk-hands { font-size: 13px; font-weight: 600; line-height: 14px; } .sk-tile .sk-sign { margin-top: 2px; }
.sk-tile[data-mode=prefill] { border-color: var(--prep); background: color-mix(in srgb, var(--prep) 18%, var(--paper)); } .sk-tile[data-mode=decode] { border-color: var(--plate); background: color-mix(in srgb, var(--plate) 18%, var(--paper)); }
.sk-tile[data-mode=mixed] { border-color: var(--plate); background: linear-gradient(90deg, color-mix(in srgb, var(--prep) 22%, var(--paper)) 50%, color-mix(in srgb, var(--plate) 22%, var(--paper)) 50%); } .sk-tile[data-mode=down] { border: 1px dashed var(--stall); }
.sk-tile[data-frozen] { border: 1.5px dashed var(--prep); background: repeating-linear-gradient(135deg, color-mix(in srgb, var(--prep) 24%, var(--paper)) 0 5px, var(--paper) 5px 11px); }
.sk-pans { display: grid; gap: 5px; } .sk-pan { display: grid; grid-template-columns: auto 1fr 54px; gap: 6px; align-items: center; min-height: 20px; }
.sk-pan .sk-value { text-align: right; } .sk-pan[data-empty] > :not(.sk-track) { visibility: hidden; } .sk-pan[data-empty] .sk-track > * { display: none; }
.sk-track { position: relative; height: 9px; border: 1px solid var(--edge); border-radius: 5px; overflow: hidden; }
.sk-pan .sk-track { height: 13px; } .sk-pan[data-empty] .sk-track { border: 1px dashed var(--hair); }
.sk-done, .sk-cooking { position: absolute; inset: 0 auto 0 0; background: var(--prep); }
.sk-cooking { background: linear-gradient(115deg, color-mix(in srgb, var(--prep) 60%, transparent) 0 27%, color-mix(in srgb, var(--prep) 20%, transparent) 29% 48%, color-mix(in srgb, var(--prep) 60%, transparent) 50% 77%, color-mix(in srgb, var(--prep) 20%, transparent) 79% 98%) 0 0 / 22px 100%; }
@keyframes sk-cook { to { background-position: 22px 0; } }
.sk[data-playing] .sk-cooking { animation: sk-cook .9s linear infinite; } @media (prefers-reduced-motion: reduce) { .sk .sk-cooking { animation: none; } }
.sk-foot { display: flex; gap: 5px 16px; flex-wrap: wrap; margin-top: auto; }
.sk-meter { flex: 1 1 150px; display: grid; grid-template-columns: auto 1fr auto; gap: 6px; align-items: center; font-size: var(--s); } .sk-meter .sk-value { font-size: var(--s); min-width: 34px; text-align: right; }
.sk-meter .sk-track { height: 7px; } .sk-fill { position: absolute; inset: 0; background: var(--edge); transform-origin: left; }

.sk-plates { display: grid; gap: 7px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 118px), 1fr)); }
.sk-plate { position: relative; height: 78px; padding: 6px 10px; border-radius: 16px; border: 1.5px solid var(--plate); background: var(--paper); box-shadow: inset 0 0 0 3px var(--paper), inset 0 0 0 4px color-mix(in srgb, var(--plate) 35%, transparent); overflow: hidden; }
.sk-plate .sk-row { font-size: 12px; }
.sk-plate:has(.sk-small:not([hidden])) { height: 86px; } .sk-plate:has(.sk-small:not([hidden])) .sk-soft { display: none; } .sk-plate .sk-small { margin: 0 -4px 0 0; }
.sk-plate[data-empty] { border: 1px dashed var(--hair); box-shadow: none; background: none; } .sk-plate[data-empty] > * { visibility: hidden; }
.sk-answer { height: 45px; margin-top: 1px; overflow: hidden; display: flex; flex-direction: column; justify-content: flex-end; font-size: 12px; line-height: 15px; }
.sk-answer mark { background: color-mix(in srgb, var(--plate) 22%, transparent); color: inherit; border-radius: 3px; }
.sk-ice { display: none; position: absolute; inset: auto 0 0 0; padding: 2px 10px 3px; align-items: center; gap: 5px; font-size: 12px; } .sk-plate[data-frozen=long] .sk-ice { background: var(--stall); color: var(--paper); font-weight: 700; } .sk-ice .sk-icon { width: 15px; height: 15px; }
.sk-plate[data-frozen=long] { border-color: var(--stall) !important; }
.sk-plate[data-frozen] { border: 1.5px dashed var(--edge); box-shadow: none; background: repeating-linear-gradient(135deg, color-mix(in srgb, var(--ink) 9%, var(--paper)) 0 6px, var(--paper) 6px 14px); }
.sk-plate[data-frozen] .sk-ice { display: flex; } .sk-plate[data-frozen] .sk-answer { height: 28px; line-height: 14px; } .sk-plate[data-frozen] .sk-answer mark { background: none; }

.sk-waiting { display: flex; align-items: center; flex-wrap: wrap; gap: 3px 8px; min-height: 24px; } .sk-waiting[data-empty] { visibility: hidden; }
.sk-rate { flex-wrap: wrap; gap: 0 6px; white-space: nowrap; }
.sk-mini { border: 1.5px solid var(--ink); border-radius: 4px; padding: 0 5px; font-size: 12px; font-weight: 700; color: var(--ink); background: var(--paper); } .sk-mini[data-empty] { display: none; }
.sk-belts { width: 100%; display: block; overflow: visible; }
.sk-belt { fill: color-mix(in srgb, var(--pass) 26%, var(--paper)); stroke: var(--pass); stroke-width: 1.5; } .sk-arrows { fill: none; stroke: var(--pass); stroke-width: 1.5; } .sk-cut { fill: none; stroke: var(--stall); stroke-width: 2.5; }
.sk-tray rect { fill: var(--paper); stroke: var(--ink); stroke-width: 2; } .sk-tray path { fill: none; stroke: var(--ink); stroke-width: 2; }
.sk text { font-family: inherit; fill: var(--ink); } .sk-label { font-size: var(--s); } .sk-trayno { font-size: 13px; font-weight: 700; }
.sk-slider { display: grid; grid-template-columns: 1fr auto; gap: 0 8px; font-size: 12px; } .sk-slider input { grid-column: 1 / -1; grid-row: 2; width: 100%; height: 24px; margin: 0; accent-color: var(--pass); } .sk-slider output { font-weight: 700; } .sk-slider .sk-soft { grid-column: 1 / -1; }

.sk-time { width: 100%; display: block; margin-top: 12px; cursor: pointer; touch-action: pan-y; }
.sk-prefill, .sk-is-prefill { fill: var(--prep); background: var(--prep); } .sk-decode, .sk-is-decode { fill: var(--plate); background: var(--plate); } .sk-moves, .sk-is-moves { fill: var(--pass); background: var(--pass); }
.sk-waits { stroke: var(--pass); stroke-width: 1; stroke-dasharray: 3 2; } .sk-base { stroke: var(--hair); } .sk-stall-line { stroke: var(--stall); stroke-width: 3; } .sk-fault { stroke: var(--stall); stroke-width: 2.5; }
.sk-veil { fill: var(--paper); opacity: .55; pointer-events: none; } .sk-head-line { stroke: var(--ink); stroke-width: 1.5; pointer-events: none; }
.sk-legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: var(--s); color: var(--soft); margin-top: 2px !important; }
.sk-floor[data-kind=joint] ~ .sk-legend span:nth-child(2) { display: none; }
.sk-remark { font-size: var(--s); color: var(--soft); } .sk-remark:empty { display: none; }
.sk-swatch { display: inline-block; width: 11px; height: 11px; margin-right: 5px; vertical-align: -1px; } .sk-is-decode { border-radius: 50%; } .sk-is-moves { border-radius: 3px; height: 7px; width: 15px; vertical-align: 1px; }
.sk-is-frozen { border: 1.5px dashed var(--stall); border-radius: 4px; background: repeating-linear-gradient(135deg, var(--stall) 0 1.5px, transparent 1.5px 4px); }

.sk-player { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; margin-top: 12px; padding: 8px 0 6px; border-top: 1px solid var(--hair); background: var(--paper); position: sticky; bottom: 0; z-index: 2; }
.sk-buttons { display: flex; gap: 4px; } .sk-player button { min-width: 34px; height: 32px; padding: 0 8px; border: 1px solid var(--edge); border-radius: 7px; background: var(--paper); color: inherit; font: inherit; font-size: 12px; cursor: pointer; display: inline-flex; gap: 4px; align-items: center; justify-content: center; } .sk-player .sk-icon { width: 16px; height: 16px; }
.sk-player button[aria-pressed=true] { background: var(--ink); color: var(--paper); } .sk-live::before { content: "●"; color: var(--stall); } .sk-live[aria-pressed=true]::before { color: inherit; }
.sk-scrub { flex: 1 1 180px; height: 24px; margin: 0; accent-color: var(--ink); } .sk-clock { min-width: 104px; text-align: right; }
.sk-caption { flex: 1 0 100%; min-height: 17px; font-size: 12px; color: var(--soft); }
.sk-details { margin-top: 6px; font-size: 12px; } .sk-details summary { min-height: 24px; cursor: pointer; width: max-content; } .sk-scroll { overflow-x: auto; max-height: 340px; }
.sk table { border-collapse: collapse; width: 100%; } .sk th, .sk td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--hair); white-space: nowrap; color: inherit; }
@media (forced-colors: active) { .sk-prefill, .sk-decode, .sk-moves { fill: CanvasText; } .sk-belt, .sk-tray rect { fill: Canvas; stroke: CanvasText; } .sk text { fill: CanvasText; } .sk-fill, .sk-done { background: Highlight; forced-color-adjust: none; } }
@media print { .sk-player { position: static; } }
`;
