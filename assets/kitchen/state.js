// The kitchen at t: a pure function of the log, so that any moment looks the same however one gets there.

const WINDOW_S = 3; // "busy", heat and tokens per second look back this far
const BIN_S = 0.25; // what is usual, and the pace, are looked up this often
const FROZEN_AT = 3; // a plate is frozen after this many usual gaps without a token,
const LONG_AT = 8; // and plainly so after this many
const USUAL_S = 0.25; // a gap, before there has been one
const CARDS = 3; // more workers of a kind than these are drawn as tiles
const BLOCK = 16; // tokens whose KV cache is one block

/** Everything that is where at t. */
function moment(log, t) {
  const now = { log, t, tickets: [], preps: [], waiting: [], trays: [], served: [], arrived: 0, plates: new Map(), longest: 0 };
  for (const order of log.orders.values()) {
    if (order.t0 > t) continue;
    now.arrived += 1;
    now.longest = Math.max(now.longest, order.prompt_tokens);
    if (order.t1 != null && order.t1 <= t) {
      now.served.push(order);
      continue;
    }
    const ticket = during(order.tickets, t),
      prep = during(order.preps, t);
    const tray = during(order.trays, t),
      plate = during(order.plates, t);
    if (ticket) now.tickets.push({ order, ticket });
    if (prep) now.preps.push({ order, prep });
    if (tray && !((leftBelt(tray) ?? Infinity) <= t))
      (tray.started != null && tray.started <= t ? now.trays : now.waiting).push({ order, tray });
    if (plate && now.plates.has(plate.worker)) now.plates.get(plate.worker).push({ order, plate });
    else if (plate) now.plates.set(plate.worker, [{ order, plate }]);
  }
  now.link = latest(log.links, t) || log.links[0];
  now.deployed = latest(log.deployed, t) || log.deployed[0];
  now.roles = now.deployed ? now.deployed.roles : TYPICAL[log.deployment] || [];
  now.served.sort((a, b) => b.t1 - a.t1);
  now.waiting.sort((a, b) => a.tray.t0 - b.tray.t0);
  now.trays.sort((a, b) => a.tray.started - b.tray.started);
  now.usual = usualAt(log, t) ?? USUAL_S;
  return now;
}

/** Who stands where, and what a worker is called on the floor. */
function crew(roles) {
  const count = {},
    totals = {};
  for (const [, role] of roles) totals[STATION_OF[role] || "cook"] = (totals[STATION_OF[role] || "cook"] || 0) + 1;
  return roles.map(([name, role], n) => {
    const station = STATION_OF[role] || "cook",
      number = (count[station] = (count[station] || 0) + 1);
    const short = { prep: "prep", plating: "plating", hatch: "the server" }[station] || "cook";
    return { name, role, station, n, number, of: totals[station], called: totals[station] > 1 ? `${short} ${number}` : short };
  });
}

const named = (log, worker) => crew(log.deployed.at(-1)?.roles || []).find(({ name }) => name === worker)?.called || worker;

/** One worker at t: its step, what it preps, its plates, and which of them stand still. */
function stationAt(now, who) {
  const { log, t } = now,
    worker = workerOf(log, who.name),
    step = stepAt(worker, t, log.pause);
  const up = !worker.ups.length || !!during(worker.ups, t),
    gone = up ? null : latest(worker.ups, t, "t0");
  const mode = !up ? "down" : step ? step.mode : "idle",
    shelf = latest(worker.shelf, t) || null;
  const preps = now.preps
    .filter(({ prep }) => prep.worker === who.name)
    .map((item) => ({ ...item, ...prepared(worker, item, t) }));
  const plated = (now.plates.get(who.name) || []).map((item) => plateAt(now, item)).sort((a, b) => a.slot - b.slot);
  // with a hand on it, or where nobody can see whether there is one, a plate does not freeze; it is late if the step is long
  const slow =
    who.station === "hatch" || step?.mode === "mixed" || (step?.mode === "decode" && t - step.t0 > LONG_AT * now.usual);
  if (who.station === "hatch" || (step && step.mode !== "prefill"))
    for (const plate of plated) plate.still = slow && plate.still === "long" ? "held" : null;
  const frozen = plated.filter((plate) => plate.still === "long"),
    held = plated.filter((plate) => plate.still === "held");
  let stroke = null;
  for (let n = until(worker.steps, t, "t0") - 1; n >= 0 && stroke == null; n -= 1) {
    const last = worker.steps[n];
    if (last.mode !== "prefill" && last.t1 != null && last.t1 <= t) stroke = last.t1 - last.t0;
  }
  const pieces = step?.pieces || [],
    tokens = pieces.reduce((sum, piece) => sum + piece[2], 0);
  let lately = null; // who is drawn as a tile is not asked for it
  const look = () => (lately ||= shares(worker, t));
  return {
    ...who,
    t,
    worker,
    step,
    mode,
    up,
    why: gone ? reasonSays(gone.why) : "",
    since: step ? t - step.t0 : 0,
    shelf,
    preps,
    plates: plated,
    frozen,
    held,
    stroke,
    tokens,
    inPrep: pieces.map(([request]) => orderOf(log, request).number),
    get shares() {
      return look();
    },
    /** Over the last three seconds, or since the start. */
    get busy() {
      const { prefill, decode, mixed } = look();
      return Math.min(1, prefill + decode + mixed);
    },
    cuts: mode === "prefill" || mode === "mixed",
    plating: (mode === "decode" || mode === "mixed") && (!plated.length || held.length < plated.length),
  };
}

function plateAt(now, { order, plate }) {
  const { t } = now,
    made = until(order.tokens, t),
    last = order.tokens[made - 1];
  const from = last && made > 1 ? last.t : Math.max(last ? last.t : 0, plate.t0),
    since = t - from;
  return {
    order,
    number: order.number,
    made,
    max: order.max_output_tokens,
    slot: plate.slot,
    since,
    still: since > LONG_AT * now.usual ? "long" : since > FROZEN_AT * now.usual ? "short" : null,
  };
}

/** The blocks of a prompt: `done` when their step has ended, `next` while it runs. */
function prepared(worker, { order, prep }, t) {
  let made = 0,
    next = 0;
  for (let n = until(worker.steps, t, "t0") - 1; n >= 0 && worker.steps[n].t0 >= prep.t0 - 1e-6; n -= 1) {
    const step = worker.steps[n];
    for (const [request, start, tokens] of step.pieces) {
      if (request !== order.request) continue;
      next = Math.max(next, start + tokens);
      if (step.t1 != null && step.t1 <= t) made = Math.max(made, start + tokens);
    }
  }
  return {
    tokens: prep.tokens,
    made,
    next,
    blocks: Math.ceil(prep.tokens / BLOCK),
    done: Math.floor(made / BLOCK),
    cooking: Math.ceil(next / BLOCK),
  };
}

/** The step a worker is in, or has just left. */
function stepAt(worker, t, pause) {
  const step = latest(worker.steps, t, "t0");
  return step && (step.t1 == null || t < step.t1 || t - step.t1 < pause) ? step : null;
}

/** Of the last three seconds: the share of prefill, decode and mixed steps. */
function shares(worker, t) {
  const from = Math.max(0, t - WINDOW_S),
    out = { prefill: 0, decode: 0, mixed: 0 };
  for (let n = until(worker.steps, t, "t0") - 1; n >= 0; n -= 1) {
    const step = worker.steps[n],
      t1 = Math.min(step.t1 ?? t, t);
    if (t1 < from) break;
    if (t > from) out[step.mode] += (t1 - Math.max(step.t0, from)) / (t - from);
  }
  return out;
}

function trayBytes(tray, t, smooth = true) {
  const n = until(tray.moves, t),
    last = tray.moves[n - 1],
    next = tray.moves[n],
    done = last ? last.bytes : 0;
  if (!smooth || !next) return done;
  const from = last ? last.t : tray.started;
  return next.t > from ? done + ((next.bytes - done) * (t - from)) / (next.t - from) : done;
}

/** What is usual in the whole kitchen: the median gap until the last quarter second. In a simulation one gap stands for many plates'. */
const usualAt = (log, t) => medianGap(log, t === Infinity ? t : Math.floor(t / BIN_S) * BIN_S);

/** The median of all gaps until t; those until then stay sorted, and only what is more is put among them. */
function medianGap(log, t) {
  const count = until(log.gaps, t);
  let known = log.byLength;
  if (!known || known.count > count) known = log.byLength = { count: 0, total: 0, gaps: [] };
  if (count - known.count > 200) {
    known.gaps = log.gaps.slice(0, count).sort((a, b) => a.s - b.s);
    known.total = known.gaps.reduce((sum, gap) => sum + gap.plates, 0);
  } else
    for (const gap of log.gaps.slice(known.count, count)) {
      insert(known.gaps, gap, "s");
      known.total += gap.plates;
    }
  known.count = count;
  if (!known.total) return null;
  if (known.gaps.length === known.total) return (known.gaps[(count - 1) >> 1].s + known.gaps[count >> 1].s) / 2;
  const ranked = (place) => {
    for (const gap of known.gaps) if ((place -= gap.plates) < 0) return gap.s;
    return null;
  };
  return (ranked((known.total - 1) >> 1) + ranked(known.total >> 1)) / 2;
}

/** The guests who have a first token and wait for a tray: for their own, or one before it. They stand as still as a frozen plate. */
function heldByTrays(now) {
  if (now.held) return now.held;
  const held = [...now.trays, ...now.waiting].flatMap(({ order, tray }) => {
    const made = until(order.tokens, now.t);
    return made ? [{ order, number: order.number, tray, since: now.t - order.tokens[made - 1].t }] : [];
  });
  now.held = held.filter(({ since }) => since > LONG_AT * now.usual).sort((a, b) => b.since - a.since);
  return now.held;
}

/** Above which a prompt is a giant among those that had come by then. */
function giantOver(log, arrived) {
  if (log.giants?.arrived !== arrived) {
    const all = [...log.orders.values()]
      .slice(0, arrived)
      .map((order) => order.prompt_tokens)
      .sort((a, b) => a - b);
    log.giants = { arrived, over: all.length ? Math.max(4 * all[all.length >> 1], 255) : Infinity };
  }
  return log.giants.over;
}
const isGiant = (now, order) => order.prompt_tokens > giantOver(now.log, now.arrived);

function median(values) {
  if (!values.length) return null;
  const sorted = Float64Array.from(values).sort(),
    middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Why a station is closed, without the words of a program. */
function reasonSays(why) {
  const says = `${why || ""}`.trim();
  if (!says || /\b[A-Z]\w*(Error|Exception)\b|Traceback|errno/i.test(says)) return "its process ended unexpectedly";
  return says;
}

function whereabouts(log, order, t, called) {
  if (order.t1 != null && order.t1 <= t) return order.reason === "cancelled" ? "cancelled" : "served";
  const plate = during(order.plates, t),
    tray = during(order.trays, t),
    prep = during(order.preps, t);
  if (plate) return `on a plate, ${called(plate.worker)}`;
  if (prep) return `in prep, ${called(prep.worker)}`;
  if (tray)
    return tray.started != null && tray.started <= t
      ? `on the pass to ${called(tray.target)}`
      : `waits for the pass to ${called(tray.target)}`;
  return "waits at the door";
}
