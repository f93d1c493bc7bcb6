// Motions in (lab/scene/motions.py): what has happened, sorted by whom it happened to. state.js reads the picture of a moment from it.
//
// The files of this folder are one module: lab/scene/bundle.py puts them together, in this order, and they see each other's names.
//   words      the kitchen's words, and numbers as words
//   nodes      a picture is a tree of plain objects; the document hears of differences
//   log        motions in
//   state      the kitchen at t: who works, what waits, what stands still
//   flights    what goes from one place to the next
//   cook, tickets, pass, plates    what is drawn on a counter
//   room       one worker's place; counter: rooms side by side; floor, stacked: which counters, on a wide page and on a phone
//   tiles      more workers than can be drawn as cooks
//   sentence   what matters most right now, in one sentence
//   lanes, xray    the timeline, on which every stall stands in the shadow of what caused it
//   chips      numbers so far, and those of the whole run
//   stills     a moment, small: for the cards, and for any page that has this module
//   moments    cards of the decisive moments
//   controls   what is in somebody's hand: the belt's knob, the playhead
//   kitchen    one run, all of the above
//   patterns   fills that scenes share, and the page's own colour
//   player, stage    one clock for all kitchens
//   hosts      a WebSocket that brings motions and takes commands; Streamlit, a plain page, a wall
//   palette, looks   the style, as CSS

const PAUSE_S = 0.05; // between two steps of a live worker: nothing that an eye should see. A simulation has none

function newLog() {
  return {
    spans: new Map(),
    orders: new Map(),
    workers: new Map(),
    trays: [],
    belts: 0, // how many trays ever crossed at once
    links: [],
    deployed: [],
    gaps: [],
    stalls: [],
    happened: [],
    names: new Map(),
    pause: PAUSE_S,
    mixed: false, // whether a step ever did both
    start: Infinity,
    end: 0,
    version: 0,
    sorted: true,
  };
}

function ingest(log, motions) {
  for (const motion of motions) {
    const known = motion.id && log.spans.get(motion.id);
    if (known) Object.assign(known, motion);
    else if (motion.id) log.spans.set(motion.id, motion);
    READERS[motion.kind]?.(log, known || motion, !known, motion);
    for (const t of [motion.t, motion.t0, motion.t1]) if (t != null && t > log.end && motion.kind !== "worker") log.end = t;
  }
  if (motions.some(({ kind }) => kind === "plate"))
    for (const { plates: all } of log.workers.values())
      seat(
        all,
        (plate) => plate.t0,
        (plate) => plate.t1,
      );
  if (motions.some(({ kind }) => kind === "tray" || kind === "moved"))
    log.belts = seat(
      log.trays.filter((tray) => tray.started != null),
      (tray) => tray.started,
      leftBelt,
    );
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
    if (update.t1 != null)
      happen(log, update.t1, `order ${order.number} ${order.reason === "cancelled" ? "is cancelled" : "is served"}`);
  },
  ticket(log, ticket, isNew) {
    if (isNew) orderOf(log, ticket.request).tickets.push(ticket);
  },
  prep(log, prep, isNew) {
    if (isNew) orderOf(log, prep.request).preps.push(prep);
  },
  plate(log, plate, isNew) {
    if (!isNew) return;
    orderOf(log, plate.request).plates.push(plate);
    workerOf(log, plate.worker).plates.push(plate);
  },
  tray(log, tray, isNew, update) {
    const order = orderOf(log, tray.request);
    if (isNew) {
      tray.moves = [];
      order.trays.push(tray);
      log.trays.push(tray);
      happen(log, tray.t0, () => `tray ${order.number} asks ${named(log, tray.target)} for room`);
    }
    if (update.accepted != null)
      happen(log, update.accepted, () => `${named(log, tray.target)} has room for tray ${order.number}`);
    if (update.started != null) happen(log, update.started, () => `tray ${order.number} leaves, ${bytes(tray.nbytes)}`);
    if (update.t1 != null)
      happen(log, update.t1, () =>
        tray.achieved == null
          ? `tray ${order.number} is lost`
          : `tray ${order.number} has landed, ${bytes(tray.nbytes)} in ${secs(tray.seconds)}${tray.verified ? "" : ", checksum wrong"}`,
      );
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
      log.mixed ||= step.mode === "mixed";
      happen(log, step.t0, () => `${named(log, step.worker)} begins a step: ${stepSays(log, step)}`);
    }
    if (update.t1 != null)
      happen(log, update.t1, () => `${named(log, step.worker)} ends its step after ${secs(step.t1 - step.t0)}`);
  },
  worker(log, up, isNew, update) {
    if (isNew) {
      workerOf(log, up.worker).ups.push(up);
      happen(log, up.t0, () => `${named(log, up.worker)} is up`);
    }
    if (update.t1 != null) happen(log, update.t1, () => `${named(log, up.worker)} is down: ${up.why || "gone"}`);
  },
  token(log, point) {
    const order = orderOf(log, point.request);
    const before = order.tokens[point.index - 1];
    order.tokens[point.index] = point;
    if (before) insert(log.gaps, { t: point.t, s: point.t - before.t, worker: point.worker, plates: 1 });
    happen(log, point.t, () => `token ${point.index + 1} of order ${order.number}: “${point.text}”`);
  },
  /** A token on each of these plates at each of these moments; from the second on, each moment ends a step. */
  leap(log, { worker, requests, ends }) {
    const orders = requests.map((request) => orderOf(log, request)),
      plates = orders.length,
      { steps } = workerOf(log, worker);
    ends.forEach((t, n) => {
      const point = { t, worker, text: "" },
        t0 = ends[n - 1];
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
  stall(log, stall) {
    insert(log.stalls, stall, "since");
  },
  shelf(log, point) {
    insert(workerOf(log, point.worker).shelf, point);
  },
  link(log, point) {
    insert(log.links, point);
    happen(log, point.t, () => `the pass now carries ${rate(point.bandwidth)}`);
  },
  deployed(log, point) {
    insert(log.deployed, point);
    happen(log, point.t, () => `deployment: ${DEPLOYMENTS[point.deployment] || point.deployment}`);
  },
  recalled(log, point) {
    happen(log, point.t, () => `order ${orderOf(log, point.request).number} is called back: ${point.why}`);
  },
};

function orderOf(log, request) {
  if (!log.orders.has(request))
    log.orders.set(request, {
      request,
      number: log.orders.size + 1,
      t0: Infinity,
      t1: null,
      prompt_tokens: 0,
      max_output_tokens: 0,
      prompt: "",
      tickets: [],
      preps: [],
      trays: [],
      plates: [],
      tokens: [],
    });
  return log.orders.get(request);
}

function workerOf(log, name) {
  if (!log.workers.has(name)) log.workers.set(name, { name, ups: [], steps: [], shelf: [], plates: [] });
  return log.workers.get(name);
}

function happen(log, t, what) {
  log.happened.push({ t, what });
  log.sorted = false;
}

function happened(log) {
  if (!log.sorted) {
    log.happened.sort((a, b) => a.t - b.t);
    log.sorted = true;
  }
  return log.happened;
}

/** Keep a list in order of time; nearly always the new one is the last. */
function insert(list, item, key = "t") {
  if (!list.length || list.at(-1)[key] <= item[key]) list.push(item);
  else list.splice(until(list, item[key], key), 0, item);
}

/** When a tray's last byte had crossed: before the checksums were compared, which ends the span. */
const leftBelt = (tray) => tray.landed ?? (tray.seconds != null && tray.started != null ? tray.started + tray.seconds : tray.t1);

/** Each in the lowest place that is free when it comes, where it stays; how many places there must be. Whoever is heard late
 *  has come no later. */
function seat(spans, from, left) {
  const places = [];
  for (const span of [...spans].sort((a, b) => from(a) - from(b))) {
    const free = places.findIndex((last) => left(last) != null && left(last) <= from(span) + 1e-6);
    span.slot = free < 0 ? places.length : free;
    places[span.slot] = span;
  }
  return places.length;
}

/** How many items of a list (in order of time) have happened at t. */
function until(list, t, key = "t") {
  let low = 0,
    high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] && list[middle][key] <= t) low = middle + 1;
    else high = middle;
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

function stepSays(log, step) {
  const prep = step.pieces.map(([request, , tokens]) => `${tokens} tokens of order ${orderOf(log, request).number}`).join(", ");
  const plated = step.plates ? `one token on ${step.plates === 1 ? "1 plate" : `${step.plates} plates`}` : "";
  return [prep, plated].filter(Boolean).join(", and ");
}
