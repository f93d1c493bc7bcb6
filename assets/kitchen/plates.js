// Plates: a dish whose rim fills with tokens, and beside it the answer. A dish that nobody's hand is on lies in the dark and freezes.

const SIZE_OF_WORDS = 12.5,
  LINE = 15,
  SQUEEZE = 1.3; // a word longer than its line by up to this is set narrower; only a longer one is broken
const SNOW =
  "M0 -7V7M-6 -3.5L6 3.5M-6 3.5L6 -3.5M-2 -6.2L0 -4.2L2 -6.2M-2 6.2L0 4.2L2 6.2M-6.4 -1.2L-3.6 -2.1L-4.3 -5M6.4 1.2L3.6 2.1L4.3 5M-6.4 1.2L-3.6 2.1L-4.3 5M6.4 -1.2L3.6 -2.1L4.3 -5";
const snow = (x, y, scale) => path(SNOW, { class: "snow", transform: at(x, y, scale) });
/** A clock, for what is slow and not frozen. */
const clockFace = (x, y, scale) =>
  path("M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0M0 -3.4V.4L2.6 2", { class: "snow", transform: at(x, y, scale) });

/** Places for as many plates as ever stood side by side; a line makes more room when it gets fuller than ever, and never less. */
const places = (...how) => {
  const key = `places ${how.join()}`;
  return kept(key, () => Object.assign(placesOf(...how), { key }));
};
const placesOf = (most, x0, x1, y0, y1, cols, rows, tall) => {
  while (cols * rows < most && (y1 - y0) / (rows + 1) >= 26) rows += 1;
  while (cols * rows < most && (x1 - x0) / (cols + 1) >= 34) cols += 1;
  const gapX = cols > 3 ? 4 : 10,
    w = (x1 - x0 - gapX * (cols - 1)) / cols,
    h = Math.min(tall, (y1 - y0) / rows - 4),
    pitch = (y1 - y0) / rows;
  return Array.from({ length: rows * cols }, (_, n) => ({
    x: x0 + (n % cols) * (w + gapX),
    y: y0 + Math.floor(n / cols) * pitch + (pitch - h) / 2,
    w,
    h,
    dish: Math.min(h, w) / 2,
  }));
};

/** How many lay side by side at once, until t. */
function mostPlates(now, names) {
  let most = 0;
  for (const name of names)
    for (const order of now.log.orders.values())
      for (const plate of order.plates) {
        if (plate.worker === name && plate.t0 <= now.t) most = Math.max(most, plate.slot + 1);
      }
  return most;
}

function plate(now, spot, one, { age: says = "", because = "" } = {}) {
  if (now.cancels) now.spots?.push({ order: one.order, ...cancelSpot(spot) });
  stands(now, one.order, "plate", spot.x, spot.y);
  const last = one.order.plated,
    { still } = one,
    { cancels } = now;
  const same =
    last?.spot === spot &&
    last.still === still &&
    last.says === says &&
    last.because === because &&
    last.cancels === cancels &&
    last.penTurn === penTurn;
  const small = same ? last.small : isSmall(spot, one),
    made = small ? null : one.made;
  if (same && last.made === made) return last.drawn;
  const hard = still === "long" || still === "held";
  const drawn = g(
    {
      class: "sk-plate",
      key: one.order.request,
      "data-stands": one.order.request,
      "data-order": one.number,
      "data-made": made,
      "data-frozen": hard ? "long" : still,
    },
    plateOf(now, spot, one, { says, because, small }),
  );
  one.order.plated = { spot, still, says, because, cancels, penTurn, small, made, drawn };
  return drawn;
}
/** A count fits in a dish only if its last value fits there too: it does not change its place as it grows. */
const countFits = ({ dish }, { max }) =>
  dish > 26 && widthOf(`${max}/${max}`, 12) < 2 * Math.sqrt(Math.max(0, (dish - 6) ** 2 - 196));
const slipFits = ({ w, dish }) => w >= 2 * dish + 26;
/** Where a slip has room for words and a button, the button stands at its end; where not, on the dish, as a badge does. */
const cancelsOnSlip = ({ w, dish }) => w - 2 * dish >= 104;
const cancelSpot = (spot) =>
  cancelsOnSlip(spot) || !slipFits(spot)
    ? { x: spot.x + spot.w - 26, y: spot.y + spot.h / 2 - 12 }
    : { x: spot.x - 5, y: spot.y + spot.h / 2 - spot.dish - 5 };
/** Nothing on it changes with a token but its rim, and `rims` draws those of a whole line at once. */
const isSmall = (spot, one) => !slipFits(spot) && !countFits(spot, one);

/** How far small plates are, as one path each for those that go on and those that wait: sixty at once are one change to the page. */
function rims(spots, shown) {
  const arcs = { done: "", cold: "" };
  for (const one of shown) {
    const spot = spots[one.slot];
    if (!one.made || one.still === "long" || one.still === "held" || !isSmall(spot, one)) continue;
    arcs[one.still === "short" ? "cold" : "done"] += arcOf(spot, one);
  }
  return [arcs.done ? path(arcs.done, { class: "rim-done" }) : null, arcs.cold ? path(arcs.cold, { class: "rim-cold" }) : null];
}
function arcOf(spot, { order, made, max }) {
  const last = order.arc;
  if (last?.spot === spot && last.made === made) return last.d;
  const r = spot.dish - 1.5,
    cx = spot.x + spot.dish,
    cy = spot.y + spot.h / 2,
    share = Math.min(1, made / max) * 2 * Math.PI,
    half = Math.min(share, Math.PI),
    end = (angle) => `${f1(cx + r * Math.sin(angle))} ${f1(cy - r * Math.cos(angle))}`,
    arc = (angle) => `A${f1(r)} ${f1(r)} 0 0 1 ${end(angle)}`,
    d = `M${f1(cx)} ${f1(cy - r)}${arc(half)}${share > half ? arc(share) : ""}`;
  order.arc = { spot, made, d };
  return d;
}
function plateOf(now, spot, one, { says, because, small }) {
  const { x, y, w, h: tall, dish } = spot,
    cx = x + dish,
    cy = y + tall / 2,
    rim = dish - 3,
    hard = one.still === "long" || one.still === "held",
    iced = one.still === "long";
  const long = 2 * Math.PI * rim,
    ring = `M${f1(cx)} ${f1(cy - rim)}A${f1(rim)} ${f1(rim)} 0 1 1 ${f1(cx)} ${f1(cy + rim)}A${f1(rim)} ${f1(rim)} 0 1 1 ${f1(cx)} ${f1(cy - rim)}`;
  const count = countFits(spot, one) ? `${one.made}/${one.max}` : "";
  if (small && !hard)
    return g(
      {},
      circle(cx, cy, dish - 3, { class: "china" }),
      path(ring, { class: "rim" }),
      chip(cx, cy, one.number),
    );
  return g(
    {},
    !slipFits(spot) ? null : slipOf(one, spot, { says, because, iced, hard, count, spare: now.cancels && cancelsOnSlip(spot) ? 24 : 0 }),
    circle(cx + 1, cy + 3, dish, { class: "cast" }),
    circle(cx, cy, dish, { class: "china" }),
    circle(cx, cy, dish - 7, { class: iced ? "well iced" : "well", fill: iced ? "url(#sk-frost)" : null }),
    path(ring, { class: "rim" }),
    path(
      ring,
      hard
        ? { class: "rim-stall" }
        : {
            class: one.still === "short" ? "rim-cold" : "rim-done",
            "stroke-dasharray": `${f1(long * (one.max ? one.made / one.max : 0))} ${f1(long)}`,
          },
    ),
    count
      ? [
          iced ? rect(cx - widthOf(count, 12) / 2 - 2, cy + 4, widthOf(count, 12) + 4, 14, { rx: 4, class: "china" }) : null,
          chip(cx, cy - 8, one.number),
          text(cx, cy + 14, count, { class: "t12 mid onchina-soft" }),
        ]
      : chip(cx, cy, one.number),
  );
}

/** Paper beside a dish: the answer's last words, or why none come. */
function slipOf(one, { x, y, w, h: tall, dish }, { says, because, iced, hard, count, spare }) {
  const cx = x + dish,
    cy = y + tall / 2,
    pad = w < 110 ? 4 : 7,
    left = cx + dish + pad,
    right = x + w - pad - spare,
    lines = tall > 42 ? 3 : tall > 34 ? 2 : 1,
    line = tall > 50 ? LINE : 13.6,
    top = cy - (lines * line) / 2,
    low = top + lines * line - 3.5;
  const paper = rect(cx, y + (lines > 1 ? 2 : 1.5), w - dish, tall - (lines > 1 ? 4 : 3), {
      rx: 6,
      class: iced ? "slip iced" : "slip",
    }),
    sign = iced ? snow : clockFace,
    tally = `${one.made}/${one.max}`;
  if (lines === 1) {
    const end = [says, tally].find((one) => one && right - left >= widthOf(one, says ? 13 : 12, says ? 700 : 400)) || "",
      wide = end ? widthOf(end, says ? 13 : 12, says ? 700 : 400) : 0;
    return [
      paper,
      words(one.order, one.made, right - left - wide - (says ? 20 : 6), 1, line, left, top, !hard),
      end && says && right - left > wide + 20 ? sign(right - wide - 10, cy, 0.72) : null,
      text(right, cy + 4.4, end, { class: says ? "t13 bold end stall-on" : "t12 end onchina-soft" }),
    ];
  }
  const room = right - left - widthOf(says || because, says ? 13 : 12, says ? 700 : 600);
  const tag =
    room < 0
      ? null
      : says && room < 17
        ? text(left, low, says, { class: "t13 bold stall-on" })
        : says
          ? [sign(left + 6, low - 4.5, 0.75), text(left + 17, low, says, { class: "t13 bold stall-on" })]
          : because
            ? text(left, low, because, { class: "t12 strong stall-on" })
            : null;
  const narrowed = (what, room) =>
    widthOf(what, 12, 400) > room ? { textLength: f1(room), lengthAdjust: "spacingAndGlyphs" } : {};
  const first = count ? 0 : 1; // the dish has no room for the count: it is the first line
  return [
    paper,
    first ? text(left, top + 11.5, tally, { class: "t12 onchina-soft", ...narrowed(tally, right - left) }) : null,
    words(one.order, one.made, right - left, lines - first - (tag ? 1 : 0), line, left, top + first * line, !hard),
    tag,
  ];
}

/** The last lines of an answer, broken from its start, so that no line moves when a token is added; the newest token is marked. */
function words(order, count, width, rows, line, x, y, marks) {
  if (width < 24 || !count) return null;
  if (rows < 1) return null;
  const { lines, last } = wrapped(order, count, width),
    shown = [...lines, last].slice(-rows),
    top = y + 11.5;
  const newest = (order.tokens[count - 1]?.text || "").replace(/\s+/g, " ").trimStart(),
    marked = marks && newest && last.endsWith(newest) ? newest : "";
  const before = last.slice(0, last.length - marked.length),
    low = top + (shown.length - 1) * line,
    from = x + widthOf(before, SIZE_OF_WORDS);
  const narrowed = (wide, drawn) => {
    const k = Math.min(1, width / wide);
    return g({ transform: k < 1 ? `translate(${f1(x * (1 - k))} 0) scale(${k.toFixed(3)} 1)` : null }, drawn);
  };
  return g(
    { class: "answer" },
    shown.map((said, n) =>
      n < shown.length - 1
        ? narrowed(widthOf(said, SIZE_OF_WORDS), text(x, top + n * line, said))
        : narrowed(from - x + widthOf(marked, SIZE_OF_WORDS, 600), [
            marked ? rect(from - 1.5, low - 11.5, widthOf(marked, SIZE_OF_WORDS, 600) + 3, line, { rx: 3, class: "newest" }) : null,
            text(x, low, before),
            marked ? text(from, low, marked, { class: "strong" }) : null,
          ]),
    ),
  );
}

/** Greedy lines of the first `count` tokens; each token goes on where the one before it has ended. */
function wrapped(order, count, room) {
  const width = Math.floor(room), // lines that are kept for a width are broken for just that width
    key = `${width} ${penTurn}`,
    kept = (order.wraps ||= new Map());
  if (!kept.has(key)) kept.set(key, [{ lines: [], last: "" }]);
  const all = kept.get(key);
  while (all.length <= count) {
    let { lines, last } = all.at(-1);
    last = (last + (order.tokens[all.length - 1]?.text || "")).replace(/\s+/g, " ");
    if (!lines.length || last.startsWith(" ")) last = last.trimStart();
    while (widthOf(last, SIZE_OF_WORDS) > width - 2 && last.length > 1) {
      const ends = [...last.matchAll(/ /g)].map((space) => space.index).filter((end) => end > 0),
        first = ends[0] ?? last.length;
      let end = ends.filter((end) => widthOf(last.slice(0, end), SIZE_OF_WORDS) <= width).at(-1);
      if (end == null && widthOf(last.slice(0, first), SIZE_OF_WORDS) <= width * SQUEEZE) {
        if (first === last.length) break;
        end = first;
      }
      if (end == null) {
        end = last.length - 1;
        while (end > 1 && widthOf(last.slice(0, end), SIZE_OF_WORDS) > width - 2) end -= 1;
      }
      lines = [...lines, last.slice(0, end)].slice(-3);
      last = last.slice(end).trimStart();
    }
    all.push({ lines, last });
  }
  return all[count];
}

/** This one step serves all these plates: a line from the hand with a branch to each dish. Cut, it shows the hand that is missing. */
const reach = (x, y0, spots, served, cut) => {
  const slots = served.map(({ slot }) => slot).filter((slot) => slot < spots.length);
  return slots.length
    ? kept(`reach ${x} ${y0} ${cut} ${slots} of ${spots.key}`, () =>
        reachOf(
          x,
          y0,
          slots.map((slot) => spots[slot]),
          cut,
        ),
      )
    : null;
};
function reachOf(x, y0, all, cut) {
  const ys = all.map((spot) => spot.y + spot.h / 2),
    ends = all.map((spot) => (spot.x + spot.dish > x ? spot.x + (spot.x > x ? 1 : spot.dish) : Math.min(x, spot.x + spot.w)));
  const d = `M${f1(x)} ${f1(y0)}V${f1(Math.max(...ys))}${all.map((spot, n) => `M${f1(x)} ${f1(ys[n])}H${f1(ends[n])}`).join("")}`;
  return {
    line: path(d, { class: cut ? "reach cut" : "reach" }),
    ends: cut
      ? circle(x, y0 - 8, 7, { class: "nohand" })
      : path(ends.map((end, n) => `M${f1(end - 3.6)} ${f1(ys[n])}a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0`).join(""), {
          class: "touch",
        }),
  };
}
