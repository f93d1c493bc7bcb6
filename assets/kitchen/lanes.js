// What the x-ray is made of: bars of steps, a guest's row, and the lanes of many workers.

const ROW = 14,
  SLOT = 5,
  TIGHT = 2;

/** Bars closer than a pixel are one. */
function bars(spans, box, y, height) {
  const out = [];
  for (const [t0, t1] of spans) {
    if (t1 < box.from || t0 > box.to) continue;
    const a = Math.max(box.left, box.x(t0)),
      b = Math.min(box.right, Math.max(a + 1.2, box.x(t1) - 0.8)),
      last = out.at(-1);
    if (last && a - last[1] < 0.7 && b - a < 4) last[1] = b;
    else out.push([a, b]);
  }
  return out.map(([a, b]) => `M${f1(a)} ${y}H${f1(b)}V${y + height}H${f1(a)}z`).join("");
}

/** Labels that do not cover each other. */
function shelf() {
  const taken = [];
  return (x, y, width) => {
    if (taken.some((one) => Math.abs(one.y - y) < 14 && x < one.x + one.width && one.x < x + width)) return false;
    taken.push({ x, y, width });
    return true;
  };
}

function prepLane(log, who, box, y, edge) {
  const steps = workerOf(log, who).steps.filter((step) => step.pieces.length && step.t0 < box.to && (step.t1 ?? edge) > box.from),
    out = [
      path(
        bars(
          steps.map((step) => [step.t0, step.t1 ?? edge]),
          box,
          y,
          20,
        ),
        { class: "b-prep" },
      ),
    ],
    mixed = steps.filter((step) => step.mode === "mixed").map((step) => [step.t0, step.t1 ?? edge]);
  if (mixed.length) out.push(path(bars(mixed, box, y + 16, 4), { class: "bar-plate" }));
  for (let i = 0; i < steps.length;) {
    // steps on the same orders are one label
    const key = steps[i].pieces.map(([request]) => request).join();
    let j = i;
    while (j + 1 < steps.length && steps[j + 1].pieces.map(([request]) => request).join() === key) j += 1;
    const a = Math.max(box.left, box.x(steps[i].t0)),
      b = Math.min(box.right, box.x(steps[j].t1 ?? edge)),
      numbers = steps[i].pieces.map(([request]) => orderOf(log, request).number);
    const tokens = steps.slice(i, j + 1).reduce((sum, step) => sum + step.pieces.reduce((all, piece) => all + piece[2], 0), 0);
    const long = `${numbers.join(", ")}: ${whole(tokens)} tokens${j > i ? ` in ${j - i + 1} portions` : ""}`,
      short = numbers.join(" ");
    if (b - a > widthOf(long, 12.5, 600) + 12)
      out.push(
        j > i ? rect(a + 4, y + 3, widthOf(long, 12.5, 600) + 6, 14, { class: "b-prep" }) : null,
        text(a + 7, y + 14.5, long, { class: "in-bar" }),
      );
    else if (b - a > widthOf(short, 12.5, 600) + 2) out.push(text((a + b) / 2, y + 14.5, short, { class: "in-bar mid" }));
    i = j + 1;
  }
  for (const up of workerOf(log, who).ups)
    if (up.t1 != null && up.t1 > box.from && up.t1 < box.to) {
      const x = box.x(up.t1);
      out.push(path(`M${f1(x - 6)} ${y + 4}l12 12M${f1(x + 6)} ${y + 4}l-12 12`, { class: "fault" }));
    }
  return out;
}

/** One guest: dotted until the first token, a tick for each, a ring when served. */
function guestRow(log, order, box, y, height, slot) {
  const first = order.tokens[0],
    mid = y + height / 2,
    out = [],
    x = box.x;
  if (order.t0 > box.to || (order.t1 ?? Infinity) < box.from) return out;
  if (!slot) {
    const until = first ? first.t : (order.t1 ?? Math.min(box.to, log.end));
    out.push(
      path(`M${f1(x(Math.max(box.from, order.t0)))} ${mid}H${f1(x(Math.min(box.to, until)))}`, { class: "wait-line" }),
      path(`M${f1(x(order.t0))} ${y + 1}v${height - 3}`, { class: "arrive" }),
    );
  }
  const ticks = order.tokens.filter((token) => token && token.t >= box.from && token.t <= box.to);
  if (ticks.length > 1 && ticks.length / (x(ticks.at(-1).t) - x(ticks[0].t)) > 1 / TIGHT) {
    // ticks under 2 px apart are a bar, cut where there is a gap
    const spans = [];
    for (const { t } of ticks) {
      const span = spans.at(-1);
      if (span && x(t) - x(span[1]) < 4 * TIGHT) span[1] = t;
      else spans.push([t, t]);
    }
    out.push(
      path(spans.map(([a, b]) => `M${f1(x(a) - 0.8)} ${y + 1}H${f1(x(b) + 0.8)}V${y + height - 3}H${f1(x(a) - 0.8)}z`).join(""), {
        class: "bar-plate",
      }),
    );
  } else
    out.push(
      path(
        ticks
          .map(
            (token) =>
              `M${f1(x(token.t))} ${token.index ? y + 1.5 : y}v${slot ? height - 2 : token.index ? height - 5 : height - 2}`,
          )
          .join(""),
        { class: "ticks" },
      ),
    );
  if (!slot && order.t1 != null && order.t1 <= box.to)
    out.push(
      order.reason === "cancelled"
        ? path(`M${f1(x(order.t1) + 3)} ${mid - 3}l6 6m-6 0l6 -6`, { class: "gone" })
        : circle(x(order.t1) + 5, mid, 3.3, { class: "ring" }),
    );
  return out;
}

function guestLabels(log, order, box, y, place) {
  const first = order.tokens[0];
  if (!first || first.t - order.t0 < 0.8) return null;
  const wide = box.x(first.t) - box.x(order.t0),
    tt = secs(first.t - order.t0),
    says = wide > 210 ? `first token after ${tt}` : tt,
    width = widthOf(says, 12) + 8,
    from = box.x(order.t0) + 14;
  return wide > width + 22 && place(from, y, width)
    ? g({}, rect(from, y - 1, width, 14, { class: "back" }), text(from + 4, y + 10, says, { class: "t12 soft" }))
    : null;
}

/** What a cause is called above its shadow. */
function causeSays(log, stalls, small) {
  const { cause } = stalls[0],
    by = (cause.requests?.length ? cause.requests : [cause.request]).filter(Boolean).map((name) => orderOf(log, name).number),
    who = [...new Set(stalls.flatMap(({ orders: names }) => names.map((name) => orderOf(log, name).number)))];
  const s = who.length === 1 ? "s" : "",
    all = listed(who, 6),
    cooked = listed(by, 4),
    tray = `tray${by.length > 1 ? "s" : ""} ${cooked}`,
    own = who.length === 1 && who[0] === by[0];
  if (cause.kind === "prefill") return small ? `${cooked} in prep: ${all} still` : `${cooked} in prep: ${all} stand${s} still`;
  if (cause.kind === "mixed")
    return `${stalls.length > 2 && !small ? `${cooked} in portions: each` : `a portion of ${cooked}`} holds up ${orders(who, 6)}`;
  if (cause.kind === "tray" && own) return `tray ${all} crosses`;
  if (cause.kind === "tray" || cause.kind === "tray-ahead")
    return small
      ? `${tray} hold${by.length > 1 ? "" : "s"} up ${all}`
      : `${tray} fill${by.length > 1 ? "" : "s"} the pass: ${all} wait${s}`;
  if (cause.kind === "room") return `no room on the line: ${all} wait${s}`;
  if (cause.kind === "left-out") return `the policy leaves ${all} out`;
  if (cause.kind === "recall") return `${all} begin${s} once more`;
  return "";
}

/** Of many workers: a line each, all plates as one area, and the longest gap. */
function manyLanes(log, crewed, box, edge, small) {
  const lanes = [],
    names = [],
    labels = [];
  let y = 26;
  const kinds = [...new Set(crewed.map(({ station }) => station))].filter((kind) => kind !== "plating"),
    thin = 1.8;
  for (const kind of kinds) {
    const mine = crewed.filter(({ station }) => station === kind);
    names.push(
      text(0, y + 11, kind === "prep" ? "Prep" : "Cooks", { class: "t13 bold" }),
      text(0, y + 26, `${mine.length} rows`, { class: "t12 soft" }),
    );
    mine.forEach(({ name }, n) => {
      const { steps } = workerOf(log, name),
        first = Math.max(0, until(steps, box.from, "t0") - 1),
        of = (mixed) =>
          steps
            .slice(first, until(steps, box.to, "t0"))
            .filter((step) => (step.mode === "decode") === mixed)
            .map((step) => [step.t0, step.t1 ?? edge]);
      const at = y + n * thin * (kind === "prep" ? 1 : 1.6);
      lanes.push(
        path(bars(of(false), box, at, thin - 0.3), { class: "b-prep" }),
        kind === "prep" ? null : path(bars(of(true), box, at + thin * 0.8, thin * 0.7), { class: "bar-plate" }),
      );
    });
    y += Math.max(30, mine.length * thin * (kind === "prep" ? 1 : 1.6)) + 8;
  }
  if (log.trays.length) {
    names.push(text(0, y + 11, small ? "Pass" : "The pass", { class: "t13 bold" }));
    lanes.push(
      path(
        log.trays
          .filter((one) => one.started != null && one.started < box.to && (leftBelt(one) ?? edge) > box.from)
          .map((one) => {
            const a = Math.max(box.left, box.x(one.started)),
              b = Math.min(box.right, Math.max(a + 1, box.x(leftBelt(one) ?? edge))),
              row = y + (one.slot % 4) * 4;
            return `M${f1(a)} ${row}H${f1(b)}v3H${f1(a)}z`;
          })
          .join(""),
        { class: "b-pass" },
      ),
    );
    y += 26;
  }
  const n = 220,
    counts = new Array(n + 1).fill(0),
    gaps = new Array(n + 1).fill(0),
    bin = (t) => Math.round(((t - box.from) / (box.to - box.from)) * n);
  for (const order of log.orders.values())
    for (const plate of order.plates)
      for (let k = Math.max(0, bin(plate.t0)); k < Math.min(n + 1, bin(plate.t1 ?? edge)); k += 1) counts[k] += 1;
  for (const gap of log.gaps) {
    const k = bin(gap.t);
    if (k >= 0 && k <= n) gaps[k] = Math.max(gaps[k], gap.s);
  }
  const area = (values, top, tall, most) =>
    `M${box.left} ${f1(top + tall)}${values.map((value, k) => `L${f1(box.left + (k / n) * (box.right - box.left))} ${f1(top + tall - (value / most) * tall)}`).join("")}V${f1(top + tall)}z`;
  const most = Math.max(1, ...counts),
    worst = Math.max(1e-3, ...gaps);
  names.push(text(0, y + 11, "Plates", { class: "t13 bold" }), text(0, y + 26, `${most} at most`, { class: "t12 soft" }));
  lanes.push(path(area(counts, y, 56, most), { class: "bar-plate" }));
  y += 64;
  names.push(
    text(0, y + 11, small ? "Gap" : "Longest gap", { class: "t13 bold" }),
    text(0, y + 26, `${secs(worst)}`, { class: "t12 soft" }),
  );
  lanes.push(path(area(gaps, y, 28, worst), { class: "area-stall" }));
  y += 34;
  return { box, lanes, under: [], labels, front: [], names, rowOf: new Map(), bottom: y };
}
