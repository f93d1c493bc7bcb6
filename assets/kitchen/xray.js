// The x-ray. Above: what each pair of hands, and the pass, did. Below: what each guest got, a tick a token. A stall is hatched, and
// stands in the shadow of the bar that caused it. The playhead is the scrubber.

const ROWS_MOST = 12; // of orders; more of them share the rows of the places on their lines

/** Long enough to be drawn as a queue. */
const queuedForPass = (one) => one.started != null && one.started - one.t0 > 0.05;

/** All of a short run; of a longer one, the minute around the playhead. */
function windowOf(t, edge) {
  if (edge <= 90) return [0, Math.max(1, edge <= 20 ? Math.ceil(edge - 0.35) : [30, 45, 60, 90].find((end) => end >= edge))];
  const from = Math.max(0, Math.floor((t - 20) / 20) * 20);
  return [from, from + 60];
}

function lanesOf(log, crewed, width, from, to, edge) {
  const small = width < 640,
    left = small ? 66 : 92,
    right = width - 8,
    box = { from, to, left, right, x: (t) => left + ((t - from) / (to - from)) * (right - left) };
  const lanes = [],
    under = [],
    labels = [],
    front = [],
    names = [],
    rowOf = new Map(),
    barOf = new Map(),
    place = shelf(),
    many = crewed.some(({ of }) => of > CARDS);
  let y = 26;
  const name = (at, says) => names.push(text(0, at, says, { class: "t13 bold" }));
  const all = [...log.orders.values()].filter((order) => order.t0 < to),
    tight = all.length > ROWS_MOST,
    preps = crewed.filter(({ station }) => station === "prep"),
    others = crewed.filter(({ station }) => station !== "prep");
  if (many) return manyLanes(log, crewed, box, edge, small);
  const rows = (mine, top) => {
    const height = tight ? SLOT : ROW;
    let most = 0;
    for (const order of mine) {
      const slot = tight ? (order.plates.at(-1)?.slot ?? 0) : null,
        at = top + (tight ? slot * SLOT : most * ROW);
      rowOf.set(order.request, [at, height]);
      if (!tight) names.push(text(left - 9, at + 10.5, `${order.number}`, { class: "t13 bold end" }));
      lanes.push(...guestRow(log, order, box, at, height, tight));
      if (!tight) labels.push(guestLabels(log, order, box, at, place));
      most = tight ? Math.max(most, slot + 1) : most + 1;
    }
    return top + most * height;
  };
  for (const who of preps) {
    name(y + 14, who.of > 1 ? capital(who.called) : "Prep");
    lanes.push(...prepLane(log, who.name, box, y, edge));
    barOf.set(who.name, y + 20);
    y += 24;
  }
  if (preps.length) {
    const top = y + 8,
      prepEnd = y - 4;
    name(top + 12, small ? "Pass" : "The pass");
    for (const one of log.trays) {
      if (one.started == null || one.started > to) continue;
      const order = orderOf(log, one.request),
        a = box.x(one.started),
        b = box.x(Math.min(to, leftBelt(one) ?? edge)),
        says = `${order.number}: ${bytes(one.nbytes)}`,
        belts = Math.min(3, log.belts),
        row = top + ((one.slot % 3) * 16) / belts;
      lanes.push(
        path(`M${f1(a)} ${f1(row)}H${f1(Math.max(a + 2, b))}v${f1(16 / belts - (belts > 1 ? 1 : 0))}H${f1(a)}z`, {
          class: "b-pass",
        }),
        belts < 2 && b - a > widthOf(says, 12.5, 600) + 10 ? text(a + 6, top + 12.5, says, { class: "in-bar in-pass" }) : null,
      );
      if (queuedForPass(one))
        under.push(path(`M${f1(box.x(one.t0))} ${prepEnd + 3 + 2.2 * (order.number % 4)}H${f1(a)}V${top}`, { class: "queue" }));
    }
    barOf.set("pass", top + 16);
    y = top + 16 + 22;
    name(y + 10, small ? "Plates" : "Answers");
    y = rows(all, y) + 4;
  }
  if (!preps.length)
    for (const who of others) {
      const mine = all.filter(
        (order) =>
          (order.plates.at(-1) || order.preps.at(-1) || order.tickets.at(-1))?.worker === who.name || who.station === "hatch",
      );
      name(y + 14, who.station === "hatch" ? (small ? "Plates" : "Answers") : capital(who.called));
      if (who.station !== "hatch") {
        lanes.push(...prepLane(log, who.name, box, y, edge));
        barOf.set(who.name, y + 20);
        y += 38;
      } else y += 4;
      y = rows(mine, y) + 10;
    }
  const byCause = new Map(),
    hatches = [];
  for (const stall of log.stalls) {
    if (stall.until < from || stall.since > to) continue;
    const a = Math.max(left, box.x(stall.since)) + 1,
      b = Math.min(right, box.x(stall.until)) - 1,
      says = secs(stall.until - stall.since),
      wide = widthOf(says, 12, 700) + 8;
    for (const request of stall.orders) {
      const row = rowOf.get(request);
      if (!row) continue;
      hatches.push(rect(a, row[0] + 1, b - a, row[1] - 3, { class: "hatch" }));
      if (row[1] > 10 && b - a > wide + 10 && place(a + 5, row[0], wide))
        labels.push(
          g(
            {},
            rect(a + 5, row[0] - 0.5, wide, 13, { rx: 3, class: "back" }),
            text(a + 5 + wide / 2, row[0] + 10.3, says, { class: "t12 bold mid stall" }),
          ),
        );
    }
    const key = `${stall.cause.kind.replace("-ahead", "")} ${stall.cause.request} ${stall.cause.worker}`;
    if (stall.cause.kind !== "none") byCause.set(key, [...(byCause.get(key) || []), stall]);
  }
  const weight = (all) =>
    Math.max(...all.map((one) => one.until - one.since)) * new Set(all.flatMap(({ orders: who }) => who)).size;
  for (const stalls of [...byCause.values()].sort((a, b) => weight(b) - weight(a)).slice(0, tight ? 3 : 8)) {
    const { cause } = stalls[0],
      top = cause.kind.startsWith("tray") ? barOf.get("pass") : (barOf.get(cause.worker) ?? barOf.get(stalls[0].worker)),
      ys = stalls
        .flatMap((stall) => stall.orders.map((request) => rowOf.get(request)))
        .filter(Boolean)
        .map(([at, tall]) => at + tall - 2);
    if (top == null || !ys.length) continue;
    const bottom = Math.max(...ys);
    for (const [since, until] of new Map(
      stalls.map((stall) => [`${stall.cause.since}`, [stall.cause.since, stall.cause.until]]),
    ).values()) {
      const a = Math.max(left, box.x(since)),
        b = Math.min(right, box.x(until));
      under.push(
        path(`M${f1(a)} ${top}H${f1(b)}V${bottom}H${f1(a)}z`, { class: "shadow" }),
        path(`M${f1(a)} ${top}V${bottom}M${f1(b)} ${top}V${bottom}`, { class: "shadow-edge" }),
      );
    }
    const says = causeSays(log, stalls, small),
      wide = widthOf(says, 12.5, 650) + 26,
      a = box.x(cause.since);
    const b = box.x(cause.until),
      x = [a + 5, a - wide, b + 4]
        .filter((one) => says && one >= left && one <= right - wide)
        .find((one) => place(one, top + 4, wide));
    if (x != null)
      front.push(
        rect(x, top + 1, wide - 4, 15, { rx: 3, class: "back" }),
        snow(x + 10, top + 8.5, 0.8),
        text(x + 20, top + 13, says, { class: "t12 strong stall" }),
      );
  }
  return { box, lanes: [...lanes, ...hatches], under, labels, front, names, rowOf, bottom: y };
}

function gridOf(box, bottom, width) {
  const { from, to } = box,
    every = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30].find((step) => (to - from) / step <= Math.max(3, width / 80)) || 30,
    out = [];
  for (let t = Math.ceil(from / every) * every; t <= to + 1e-6; t += every)
    out.push(
      path(`M${f1(box.x(t))} 24V${bottom}`, { class: "grid" }),
      text(box.x(t), bottom + 15, `${Number(t.toFixed(2))} s`, {
        class: `t12 soft ${t - from < 1e-6 ? "" : t > to - every / 2 ? "end" : "mid"}`,
      }),
    );
  return g({}, out);
}

const layer = (width, tall, ...drawn) =>
  h("svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, "aria-hidden": "true" }, drawn);
const layersOf = (lines, width, tall) => [
  layer(width, tall, gridOf(lines.box, lines.bottom, width), g({}, lines.under), g({}, lines.lanes)),
  layer(width, tall, g({}, lines.names), g({}, lines.labels), g({}, lines.front)),
];

/** The picture, in layers, so that a frame moves two of them and paints none: below, all of the run, pale; over it, as wide as the
 *  past, the same in full colour; then what is said of both. Between the last two the line of the playhead, on top its time. */
function xray(view, now, stations, edge, width) {
  const [from, to] = view.window(now.t, edge),
    live = view.isLive(),
    until = live ? Math.floor(edge * 5) / 5 : edge,
    crewed = view.crewAt(now);
  const it = (view.lanes ||= memo((log, version, ...rest) => lanesOf(log, ...rest)))(
      view.log,
      live ? until : view.log.version,
      crewed,
      width,
      from,
      to,
      until,
    ),
    { box, bottom } = it;
  const x = clamp(box.x(now.t), box.left, box.right),
    tall = bottom + 22,
    still = live
      ? [...stations.flatMap((one) => [...one.frozen, ...one.held]), ...heldByTrays(now)].map(({ order, since }) => {
          const row = it.rowOf.get(order.request);
          return (
            row &&
            rect(box.x(now.t - since) + 1, row[0] + 1, Math.max(0, x - box.x(now.t - since) - 1), row[1] - 3, { class: "hatch" })
          );
        })
      : null;
  const [below, above] = (view.layers ||= memo(layersOf))(it, width, tall),
    says = secs(now.t),
    pill = Math.max(54, Math.ceil(widthOf(says, 13, 700) / 6) * 6 + 18);
  return {
    box,
    drawn: h(
      "div",
      {
        class: "sk-xray",
        style: `height:${tall}px`,
        role: "img",
        "aria-label": "Timeline: prep, the pass, and what each guest got; the slider on it moves through time",
      },
      h("div", { class: "next" }, below),
      h("div", { class: "past", style: `width:${f1(x)}px` }, below),
      still?.length ? h("div", {}, layer(width, tall, still)) : null,
      h("div", { class: "head-line", style: `height:${bottom - 17}px;transform:translate(${f1(x - 1)}px,18px)` }),
      h("div", { class: "over" }, above),
      h(
        "div",
        { class: "head-says", style: `width:${pill}px;transform:translateX(${f1(clamp(x - pill / 2, 0, width - pill))}px)` },
        says,
      ),
    ),
  };
}
