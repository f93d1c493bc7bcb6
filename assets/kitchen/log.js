// Split Kitchen's scene: draws motions (lab/scene/motions.py) against a clock. What is on screen is a function of the motions
// and the playhead alone, so live, paused, slow, scrubbed and replayed are one drawing.
//
// The files of this folder are one module: lab/scene/bundle.py puts them together, in this order, and they see each other's names.
//   log       motions in (ingest), a moment out (moment)
//   nodes     words, numbers and elements
//   stations  door, work cards, pass, served: each builds its nodes once and has draw(moment)
//   timeline  what every worker did when
//   kitchen   one run: its stations, timeline, numbers and table
//   player    one clock for all kitchens
//   hosts     a WebSocket that brings motions and takes commands; Streamlit (a component's default export), Jupyter
//             (anywidget), a plain page (createKitchens)
//   looks     the style, as CSS

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
