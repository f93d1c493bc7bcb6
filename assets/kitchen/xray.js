// The x-ray. Above: what each pair of hands, and the pass, did. Below: what each guest got, a tick a token. A stall is hatched, and
// stands in the shadow of the bar that caused it. The playhead is the scrubber.

const ROW = 14, SLOT = 5, ROWS_MOST = 12, TIGHT = 2;

/** All of a short run; of a longer one, the minute around the playhead. */
function windowOf(t, edge) {
  if (edge <= 90) return [0, Math.max(1, edge <= 20 ? Math.ceil(edge - 0.35) : [30, 45, 60, 90].find((end) => end >= edge))];
  const from = Math.max(0, Math.floor((t - 20) / 20) * 20);
  return [from, from + 60];
}

/** Bars closer than a pixel are one. */
function bars(spans, box, y, height) {
  const out = [];
  for (const [t0, t1] of spans) {
    if (t1 < box.from || t0 > box.to) continue;
    const a = Math.max(box.left, box.x(t0)), b = Math.min(box.right, Math.max(a + 1.2, box.x(t1) - 0.8)), last = out.at(-1);
    if (last && a - last[1] < 0.7 && b - a < 4) last[1] = b; else out.push([a, b]);
  }
  return out.map(([a, b]) => `M${f1(a)} ${y}H${f1(b)}V${y + height}H${f1(a)}z`).join("");
}

/** Labels that do not cover each other. */
function shelf() {
  const taken = [];
  return (x, y, width) => { if (taken.some((one) => Math.abs(one.y - y) < 14 && x < one.x + one.width && one.x < x + width)) return false; taken.push({ x, y, width }); return true; };
}

function prepLane(log, who, box, y, edge) {
  const steps = workerOf(log, who).steps.filter((step) => step.pieces.length && step.t0 < box.to && (step.t1 ?? edge) > box.from), out = [path(bars(steps.map((step) => [step.t0, step.t1 ?? edge]), box, y, 20), { class: "b-prep" })];
  for (let i = 0; i < steps.length;) { // steps on the same orders are one label
    const key = steps[i].pieces.map(([request]) => request).join();
    let j = i;
    while (j + 1 < steps.length && steps[j + 1].pieces.map(([request]) => request).join() === key) j += 1;
    const a = Math.max(box.left, box.x(steps[i].t0)), b = Math.min(box.right, box.x(steps[j].t1 ?? edge)), numbers = steps[i].pieces.map(([request]) => orderOf(log, request).number);
    const tokens = steps.slice(i, j + 1).reduce((sum, step) => sum + step.pieces.reduce((all, piece) => all + piece[2], 0), 0);
    const long = `${numbers.join(", ")}: ${whole(tokens)} tokens${j > i ? ` in ${j - i + 1} portions` : ""}`, short = numbers.join(" ");
    if (b - a > widthOf(long, 12.5, 600) + 12) out.push(j > i ? rect(a + 4, y + 3, widthOf(long, 12.5, 600) + 6, 14, { class: "b-prep" }) : null, text(a + 7, y + 14.5, long, { class: "in-bar" }));
    else if (b - a > widthOf(short, 12.5, 600) + 2) out.push(text((a + b) / 2, y + 14.5, short, { class: "in-bar mid" }));
    i = j + 1;
  }
  for (const up of workerOf(log, who).ups) if (up.t1 != null && up.t1 > box.from && up.t1 < box.to) { const x = box.x(up.t1); out.push(path(`M${f1(x - 6)} ${y + 4}l12 12M${f1(x + 6)} ${y + 4}l-12 12`, { class: "fault" })); }
  return out;
}

/** One guest: dotted until the first token, a tick for each, a ring when served. */
function guestRow(log, order, box, y, height, slot) {
  const first = order.tokens[0], mid = y + height / 2, out = [], x = box.x, last = order.tokens.at(-1);
  if (order.t0 > box.to || (order.t1 ?? Infinity) < box.from) return out;
  if (!slot) {
    const until = first ? first.t : order.t1 ?? Math.min(box.to, log.end);
    out.push(path(`M${f1(x(Math.max(box.from, order.t0)))} ${mid}H${f1(x(Math.min(box.to, until)))}`, { class: "wait-line" }), path(`M${f1(x(order.t0))} ${y + 1}v${height - 3}`, { class: "arrive" }));
  }
  const ticks = order.tokens.filter((token) => token && token.t >= box.from && token.t <= box.to);
  if (ticks.length > 1 && ticks.length / (x(ticks.at(-1).t) - x(ticks[0].t)) > 1 / TIGHT) { // ticks under 2 px apart are a bar, cut where there is a gap
    const spans = [];
    for (const { t } of ticks) { const span = spans.at(-1); if (span && x(t) - x(span[1]) < 4 * TIGHT) span[1] = t; else spans.push([t, t]); }
    out.push(path(spans.map(([a, b]) => `M${f1(x(a) - 0.8)} ${y + 1}H${f1(x(b) + 0.8)}V${y + height - 3}H${f1(x(a) - 0.8)}z`).join(""), { class: "bar-plate" }));
  } else out.push(path(ticks.map((token, n) => `M${f1(x(token.t))} ${token.index ? y + 1.5 : y}v${slot ? height - 2 : token.index ? height - 5 : height - 2}`).join(""), { class: "ticks" }));
  if (!slot && order.t1 != null && order.t1 <= box.to) out.push(order.reason === "cancelled" ? path(`M${f1(x(order.t1) + 3)} ${mid - 3}l6 6m-6 0l6 -6`, { class: "gone" }) : circle(x(order.t1) + 5, mid, 3.3, { class: "ring" }));
  return out;
}

function guestLabels(log, order, box, y, place) {
  const first = order.tokens[0];
  if (!first || first.t - order.t0 < 0.8) return null;
  const wide = box.x(first.t) - box.x(order.t0), tt = secs(first.t - order.t0), says = wide > 210 ? `first token after ${tt}` : tt, width = widthOf(says, 12) + 8, from = box.x(order.t0) + 14;
  return wide > width + 22 && place(from, y, width) ? g({}, rect(from, y - 1, width, 14, { class: "back" }), text(from + 4, y + 10, says, { class: "t12 soft" })) : null;
}

/** What a cause is called above its shadow. */
function causeSays(log, stalls, small) {
  const { cause } = stalls[0], by = (cause.requests?.length ? cause.requests : [cause.request]).filter(Boolean).map((name) => orderOf(log, name).number), who = [...new Set(stalls.flatMap(({ orders: names }) => names.map((name) => orderOf(log, name).number)))];
  const s = who.length === 1 ? "s" : "", all = listed(who, 6), own = who.length === 1 && who[0] === by[0];
  if (cause.kind === "prefill") return small ? `${listed(by)} in prep: ${all} still` : `${listed(by)} in prep: ${all} stand${s} still`;
  if (cause.kind === "mixed") return stalls.length > 2 && !small ? `${listed(by)} in portions: each holds ${all}` : `a portion of ${listed(by)} holds ${all}`;
  if (cause.kind === "tray" && own) return `tray ${all} crosses`;
  if (cause.kind === "tray" || cause.kind === "tray-ahead") return small ? `tray ${listed(by)} holds ${all}` : `tray ${listed(by)} fills the pass: ${all} wait${s}`;
  if (cause.kind === "room") return `no room on the line: ${all} wait${s}`;
  if (cause.kind === "recall") return `${all} begin${s} once more`;
  return "";
}

function lanesOf(log, crewed, width, from, to, edge) {
  const small = width < 640, left = small ? 66 : 92, right = width - 8, box = { from, to, left, right, x: (t) => left + (t - from) / (to - from) * (right - left) };
  const lanes = [], under = [], labels = [], front = [], names = [], rowOf = new Map(), barOf = new Map(), place = shelf(), many = crewed.some(({ of }) => of > CARDS);
  let y = 26;
  const name = (at, says) => names.push(text(0, at, says, { class: "t13 bold" }));
  const all = [...log.orders.values()].filter((order) => order.t0 < to), tight = all.length > ROWS_MOST, preps = crewed.filter(({ station }) => station === "prep"), others = crewed.filter(({ station }) => station !== "prep");
  if (many) return manyLanes(log, crewed, box, edge, small);
  const rows = (mine, top) => {
    const height = tight ? SLOT : ROW;
    let most = 0;
    for (const order of mine) {
      const slot = tight ? order.plates.at(-1)?.slot ?? 0 : null, at = top + (tight ? slot * SLOT : most * ROW);
      rowOf.set(order.request, [at, height]);
      if (!tight) names.push(text(left - 9, at + 10.5, `${order.number}`, { class: "t13 bold end" }));
      lanes.push(...guestRow(log, order, box, at, height, tight));
      if (!tight) labels.push(guestLabels(log, order, box, at, place));
      most = tight ? Math.max(most, slot + 1) : most + 1;
    }
    return top + most * height;
  };
  for (const who of preps) { name(y + 14, who.of > 1 ? capital(who.called) : "Prep"); lanes.push(...prepLane(log, who.name, box, y, edge)); barOf.set(who.name, y + 20); y += 24; }
  if (preps.length) {
    const top = y + 8, prepEnd = y - 4;
    name(top + 12, small ? "Pass" : "The pass");
    for (const one of log.trays) {
      if (one.started == null || one.started > to) continue;
      const order = orderOf(log, one.request), a = box.x(one.started), b = box.x(Math.min(to, leftBelt(one) ?? edge)), says = `${order.number}: ${bytes(one.nbytes)}`, belts = Math.min(3, log.belts.length), row = top + (one.slot % 3) * 16 / belts;
      lanes.push(path(`M${f1(a)} ${f1(row)}H${f1(Math.max(a + 2, b))}v${f1(16 / belts - (belts > 1 ? 1 : 0))}H${f1(a)}z`, { class: "b-pass" }), belts < 2 && b - a > widthOf(says, 12.5, 600) + 10 ? text(a + 6, top + 12.5, says, { class: "in-bar in-pass" }) : null);
      if (one.started - one.t0 > 0.05) under.push(path(`M${f1(box.x(one.t0))} ${prepEnd + 3 + 2.2 * (order.number % 4)}H${f1(a)}V${top}`, { class: "queue" }));
    }
    barOf.set("pass", top + 16);
    y = top + 16 + 22;
    name(y + 10, small ? "Plates" : "Answers");
    y = rows(all, y) + 4;
  }
  if (!preps.length) for (const who of others) {
    const mine = all.filter((order) => (order.plates.at(-1) || order.preps.at(-1) || order.tickets.at(-1))?.worker === who.name || who.station === "hatch");
    name(y + 14, who.station === "hatch" ? "Answers" : capital(who.called));
    if (who.station !== "hatch") { lanes.push(...prepLane(log, who.name, box, y, edge)); barOf.set(who.name, y + 20); y += 38; } else y += 4;
    y = rows(mine, y) + 10;
  }
  const byCause = new Map(), hatches = [];
  for (const stall of log.stalls) {
    if (stall.until < from || stall.since > to) continue;
    const a = Math.max(left, box.x(stall.since)) + 1, b = Math.min(right, box.x(stall.until)) - 1, says = secs(stall.until - stall.since), wide = widthOf(says, 12, 700) + 8;
    for (const request of stall.orders) {
      const row = rowOf.get(request);
      if (!row) continue;
      hatches.push(rect(a, row[0] + 1, b - a, row[1] - 3, { class: "hatch" }));
      if (row[1] > 10 && b - a > wide + 10 && place(a + 5, row[0], wide)) labels.push(g({}, rect(a + 5, row[0] - 0.5, wide, 13, { rx: 3, class: "back" }), text(a + 5 + wide / 2, row[0] + 10.3, says, { class: "t12 bold mid stall" })));
    }
    const key = `${stall.cause.kind.replace("-ahead", "")} ${stall.cause.request} ${stall.cause.worker}`;
    if (stall.cause.kind !== "none") byCause.set(key, [...(byCause.get(key) || []), stall]);
  }
  const weight = (all) => Math.max(...all.map((one) => one.until - one.since)) * new Set(all.flatMap(({ orders: who }) => who)).size;
  for (const stalls of [...byCause.values()].sort((a, b) => weight(b) - weight(a)).slice(0, tight ? 3 : 8)) {
    const { cause } = stalls[0], top = cause.kind.startsWith("tray") ? barOf.get("pass") : barOf.get(cause.worker) ?? barOf.get(stalls[0].worker), ys = stalls.flatMap((stall) => stall.orders.map((request) => rowOf.get(request))).filter(Boolean).map(([at, tall]) => at + tall - 2);
    if (top == null || !ys.length) continue;
    const bottom = Math.max(...ys);
    for (const [since, until] of new Map(stalls.map((stall) => [`${stall.cause.since}`, [stall.cause.since, stall.cause.until]])).values()) {
      const a = Math.max(left, box.x(since)), b = Math.min(right, box.x(until));
      under.push(path(`M${f1(a)} ${top}H${f1(b)}V${bottom}H${f1(a)}z`, { class: "shadow" }), path(`M${f1(a)} ${top}V${bottom}M${f1(b)} ${top}V${bottom}`, { class: "shadow-edge" }));
    }
    const says = causeSays(log, stalls, small), wide = widthOf(says, 12.5, 650) + 26, a = box.x(cause.since);
    const b = box.x(cause.until), x = [a + 5, a - wide, b + 4].map((one) => clamp(one, left, right - wide)).find((one) => says && wide < right - left && place(one, top + 4, wide));
    if (x != null) front.push(rect(x, top + 1, wide - 4, 15, { rx: 3, class: "back" }), snow(x + 10, top + 8.5, 0.8), text(x + 20, top + 13, says, { class: "t12 strong stall" }));
  }
  return { box, lanes: [...lanes, ...hatches], under, labels, front, names, rowOf, bottom: y };
}

/** Of many workers: a line each, all plates as one area, and the longest gap. */
function manyLanes(log, crewed, box, edge, small) {
  const lanes = [], names = [], labels = [];
  let y = 26;
  const kinds = [...new Set(crewed.map(({ station }) => station))].filter((kind) => kind !== "plating"), thin = 1.8;
  for (const kind of kinds) {
    const mine = crewed.filter(({ station }) => station === kind);
    names.push(text(0, y + 11, kind === "prep" ? "Prep" : "Cooks", { class: "t13 bold" }), text(0, y + 26, `${mine.length} rows`, { class: "t12 soft" }));
    mine.forEach(({ name }, n) => {
      const { steps } = workerOf(log, name), first = Math.max(0, until(steps, box.from, "t0") - 1), of = (mixed) => steps.slice(first, until(steps, box.to, "t0")).filter((step) => (step.mode === "decode") === mixed).map((step) => [step.t0, step.t1 ?? edge]);
      const at = y + n * thin * (kind === "prep" ? 1 : 1.6);
      lanes.push(path(bars(of(false), box, at, thin - 0.3), { class: "b-prep" }), kind === "prep" ? null : path(bars(of(true), box, at + thin * 0.8, thin * 0.7), { class: "bar-plate" }));
    });
    y += Math.max(30, mine.length * thin * (kind === "prep" ? 1 : 1.6)) + 8;
  }
  if (log.trays.length) {
    names.push(text(0, y + 11, small ? "Pass" : "The pass", { class: "t13 bold" }));
    lanes.push(path(log.trays.filter((one) => one.started != null && one.started < box.to && (leftBelt(one) ?? edge) > box.from).map((one) => { const a = Math.max(box.left, box.x(one.started)), b = Math.min(box.right, Math.max(a + 1, box.x(leftBelt(one) ?? edge))), row = y + (one.slot % 4) * 4; return `M${f1(a)} ${row}H${f1(b)}v3H${f1(a)}z`; }).join(""), { class: "b-pass" }));
    y += 26;
  }
  const n = 220, counts = new Array(n + 1).fill(0), gaps = new Array(n + 1).fill(0), bin = (t) => Math.round((t - box.from) / (box.to - box.from) * n);
  for (const order of log.orders.values()) for (const plate of order.plates) for (let k = Math.max(0, bin(plate.t0)); k < Math.min(n + 1, bin(plate.t1 ?? edge)); k += 1) counts[k] += 1;
  for (const gap of log.gaps) { const k = bin(gap.t); if (k >= 0 && k <= n) gaps[k] = Math.max(gaps[k], gap.s); }
  const area = (values, top, tall, most) => `M${box.left} ${f1(top + tall)}${values.map((value, k) => `L${f1(box.left + k / n * (box.right - box.left))} ${f1(top + tall - value / most * tall)}`).join("")}V${f1(top + tall)}z`;
  const most = Math.max(1, ...counts), worst = Math.max(1e-3, ...gaps);
  names.push(text(0, y + 11, "Plates", { class: "t13 bold" }), text(0, y + 26, `${most} at most`, { class: "t12 soft" }));
  lanes.push(path(area(counts, y, 56, most), { class: "bar-plate" }));
  y += 64;
  names.push(text(0, y + 11, small ? "Gap" : "Longest gap", { class: "t13 bold" }), text(0, y + 26, `${secs(worst)}`, { class: "t12 soft" }));
  lanes.push(path(area(gaps, y, 28, worst), { class: "area-stall" }));
  y += 34;
  return { box, lanes, under: [], labels, front: [], names, rowOf: new Map(), bottom: y };
}

function gridOf(box, bottom, width) {
  const { from, to } = box, every = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30].find((step) => (to - from) / step <= Math.max(3, width / 80)) || 30, out = [];
  for (let t = Math.ceil(from / every) * every; t <= to + 1e-6; t += every) out.push(path(`M${f1(box.x(t))} 24V${bottom}`, { class: "grid" }), text(box.x(t), bottom + 15, `${Number(t.toFixed(2))} s`, { class: `t12 soft ${t - from < 1e-6 ? "" : t > to - every / 2 ? "end" : "mid"}` }));
  return g({}, out);
}

/** The picture: the past in full colour, what is to come pale, the playhead between them. */
function xray(view, now, stations, edge, width) {
  const [from, to] = view.window(now.t, edge), live = view.isLive(), until = live ? Math.floor(edge * 5) / 5 : edge, crewed = view.crewAt(now);
  const it = (view.lanes ||= memo((log, version, ...rest) => lanesOf(log, ...rest)))(view.log, live ? until : view.log.version, crewed, width, from, to, until), { box, bottom } = it;
  const x = clamp(box.x(now.t), box.left, box.right), tall = bottom + 22, grid = (view.grid ||= memo(gridOf))(box, bottom, width);
  const still = live ? [...stations.flatMap((one) => [...one.frozen, ...one.held]), ...heldByTrays(now)].map(({ order, since }) => { const row = it.rowOf.get(order.request); return row && rect(box.x(now.t - since) + 1, row[0] + 1, Math.max(0, x - box.x(now.t - since) - 1), row[1] - 3, { class: "hatch" }); }) : null;
  const lanes = (view.twice ||= memo((all) => g({}, all)))(it.lanes), says = secs(now.t), pill = Math.max(54, widthOf(says, 13, 700) + 18), px = clamp(x, pill / 2, width - pill / 2), id = `sk-${view.key}`;
  view.headAt = x;
  return { box, tall, drawn: h("svg", { class: "sk-xray", width, height: tall, viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": "Timeline: prep, the pass, and what each guest got; the slider on it moves through time" },
    h("clipPath", { id: `${id}-past` }, rect(0, 0, x, tall)), h("clipPath", { id: `${id}-next` }, rect(x, 0, Math.max(0, width - x), tall)),
    grid, g({}, it.under), g({ class: "past", "clip-path": `url(#${id}-past)` }, lanes, still), g({ class: "next", "clip-path": `url(#${id}-next)` }, lanes), g({}, it.names),
    path(`M${f1(x)} 18V${bottom + 1}`, { class: "head-line" }), g({}, it.labels), g({}, it.front), rect(px - pill / 2, 0, pill, 20, { rx: 10, class: "head-pill" }), text(px, 14.5, says, { class: "t13 bold mid head-says" })) };
}
