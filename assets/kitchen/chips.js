// Numbers: so far, at the playhead, each with its own course; and apart from them, of the whole run.

const PACE = "so far"; // all tokens made, over the time from the first arrival to now, or to the last of them

/** At t. The stall is the longest gap that has been felt, one under way included, and whose it was. The pace
 *  and the gap are looked up every quarter second, the gap together with the usual one: it is a median of all gaps. */
function figures(now) {
  const { log, t } = now,
    ttft = [],
    at = t >= log.end ? t : Math.floor(t / BIN_S) * BIN_S;
  let stall = { s: 0, order: null, t: 0 },
    waiting = 0;
  for (const order of log.orders.values()) {
    const first = order.tokens[0];
    if (!first || first.t > t) {
      if (order.t0 <= t && !(order.t1 <= t)) waiting += 1;
      continue;
    }
    ttft.push(first.t - order.t0);
    const made = until(order.tokens, t),
      worst = worstGap(order, made);
    if (worst.s > stall.s) stall = { ...worst, order };
    if (made < order.tokens.length || order.t1 == null || order.t1 > t) {
      const since = t - order.tokens[made - 1].t;
      if (since > stall.s) stall = { s: since, order, t: null };
    }
  }
  return { ttft: median(ttft), counted: ttft.length, waiting, gap: medianGap(log, at), stall, pace: paceAt(log, at) };
}

function paceAt(log, t) {
  if (log.pace?.t === t && log.pace.version === log.version) return log.pace.value;
  let tokens = 0,
    last = 0;
  for (const order of log.orders.values()) {
    const made = until(order.tokens, t);
    tokens += made;
    if (made) last = Math.max(last, order.tokens[made - 1].t);
  }
  log.pace = { t, version: log.version, value: last > log.start ? tokens / (last - log.start) : 0 };
  return log.pace.value;
}

/** The longest gap between the first `made` tokens: kept as one goes, so that a frame costs nothing. */
function worstGap(order, made) {
  const all = (order.worst ||= [
    { s: 0, t: 0 },
    { s: 0, t: 0 },
  ]);
  if (all.length > order.tokens.length + 1) all.length = Math.max(2, order.tokens.length + 1);
  while (all.length <= made) {
    const n = all.length - 1,
      s = order.tokens[n].t - order.tokens[n - 1].t;
    all.push(s > all.at(-1).s ? { s, t: order.tokens[n].t } : all.at(-1));
  }
  return all[Math.max(1, made)];
}

function courses(log, version, to, width) {
  const tall = 40,
    X = (s) => 2 + Math.min(1, s / to) * (width - 4),
    done = [...log.orders.values()].filter((order) => order.tokens[0]);
  const most = Math.max(0.1, ...done.map((order) => order.tokens[0].t - order.t0)),
    pins = [];
  for (const order of done) {
    const x = X(order.tokens[0].t),
      y = tall - 4 - ((order.tokens[0].t - order.t0) / most) * (tall - 10);
    pins.push(done.length > 60 ? `M${f1(x)} ${f1(y)}h.01` : `M${f1(x)} ${tall - 1}V${f1(y)}m0 -.01v.01`);
  }
  const low = (s) => tall - 3 - clamp(Math.log(s / 0.01) / Math.log(5 / 0.01), 0, 1) * (tall - 6),
    dots = new Set(log.gaps.map((gap) => `M${Math.round(X(gap.t) * 2) / 2} ${Math.round(low(gap.s))}h.01`));
  const peak = Math.max(
    0.1,
    log.gaps.reduce((top, gap) => Math.max(top, gap.s), 0),
  );
  let top = 0,
    steps = `M0 ${tall - 1}`;
  for (const gap of log.gaps)
    if (gap.s > top) {
      top = gap.s;
      steps += `H${f1(X(gap.t))}V${f1(tall - 1 - (top / peak) * (tall - 6))}`;
    }
  steps += `H${width}`;
  const bins = new Array(Math.ceil(to / BIN_S) + 1).fill(0);
  for (const order of done) for (const token of order.tokens) if (token) bins[Math.floor(token.t / BIN_S)] += 1;
  const full = Math.max(1, ...bins),
    bars = `M0 ${tall - 1}${bins.map((count, n) => (n * BIN_S < to ? `H${f1(X(n * BIN_S))}V${f1(tall - 1 - (count / full) * (tall - 5))}` : "")).join("")}H${width}V${tall - 1}z`;
  return [
    path(pins.join(""), { class: done.length > 60 ? "dots prep" : "pins prep" }),
    path([...dots].join(""), { class: "dots plate" }),
    [path(`${steps}V${tall - 1}z`, { class: "area stall" }), path(steps, { class: "line stall" })],
    path(bars, { class: "area plate" }),
  ];
}

/** Headline numbers so far. */
function chips(view, now, stations, edge, width) {
  const it = figures(now),
    narrow = width < 700,
    wide = narrow ? clamp(width / 2 - 104, 34, 84) : Math.max(70, Math.min(150, width / 4 - 128)),
    to = Math.max(1, view.to(edge)),
    x = 2 + Math.min(1, now.t / to) * (wide - 4);
  const draw = (view.courses ||= memo(courses))(
    view.log,
    view.isLive() ? Math.floor(view.log.end * 4) : view.log.version,
    to,
    wide,
  );
  const whose =
    it.stall.order // also while the first gap of all goes on, of which there is no median yet
      ? `order ${it.stall.order.number}${it.stall.t == null ? ", now" : `, at ${secs(it.stall.t, 1)}`}`
      : "";
  const partly = it.counted && it.waiting; // who waits for a first token is not in the median yet
  const one = (name, term, value, course, says, below) =>
    h(
      "div",
      { class: "sk-chip", title: says || null },
      h("dt", {}, name, h("span", { class: "sk-term" }, term)),
      h("dd", {}, h("strong", {}, value), h("span", { class: "sk-below" }, below)),
      h(
        "div",
        { class: "sk-course", style: `width:${wide}px`, "aria-hidden": "true" },
        h(
          "svg",
          { width: wide, height: 40, viewBox: `0 0 ${wide} 40` },
          path(`M0 39.5H${wide}`, { class: "base" }),
          course,
        ),
        h("div", { class: "cover", style: `transform:translateX(${f1(x)}px)` }), // what is to come
      ),
    );
  return h(
    "dl",
    { class: "sk-numbers", "aria-label": "So far" },
    one(
      "First token",
      `TTFT, median${partly ? ` of ${many(it.counted, "order")}` : ""}`,
      secs(it.ttft),
      draw[0],
      partly ? `median of ${many(it.counted, "order")} so far; ${it.waiting} still wait${it.waiting > 1 ? "" : "s"}` : "",
      "",
    ),
    one("Token gap", "ITL, median", secs(it.gap), draw[1], "", ""),
    one("Longest stall", "", it.stall.order ? secs(it.stall.s) : "–", draw[2], "", whose),
    one("Tokens/s", PACE, it.pace ? (it.pace < 9.95 ? it.pace.toFixed(1) : whole(Math.round(it.pace))) : "–", draw[3], "", ""),
  );
}

// ---- the whole run

/** As engine/metrics.py has it: all tokens by the time from the first arrival to the last token. */
function totals(log) {
  const now = moment(log, Infinity),
    it = figures({ ...now, t: Infinity }),
    ends = [...log.orders.values()].map((order) => order.tokens.at(-1)?.t ?? 0),
    span = Math.max(...ends) - log.start;
  const made = [...log.orders.values()].reduce((sum, order) => sum + order.tokens.length, 0);
  return {
    ttft: it.ttft,
    gap: it.gap,
    stall: it.stall.s,
    whose: it.stall.order?.number,
    pace: span > 0 ? made / span : 0,
    tokens: made,
    span,
  };
}
const isWhole = (view) =>
  !view.isLive() && view.log.orders.size > 0 && [...view.log.orders.values()].every((order) => order.t1 != null);

const MEASURES = [
  ["stall", "Longest stall", "shorter", "longer"],
  ["ttft", "First token, median", "sooner", "later"],
  ["gap", "Token gap, median", "shorter", "longer"],
  ["pace", "Tokens per second, whole run", "fewer", "more"],
];
const inWords = (key, value) => (key === "pace" ? (value < 9.95 ? value.toFixed(1) : whole(Math.round(value))) : secs(value));

/** What two runs must share before one is called better. */
function comparable(a, b) {
  const work = (view) =>
    [...view.log.orders.values()]
      .map((order) => `${order.prompt_tokens} ${order.max_output_tokens}`)
      .sort()
      .join();
  const place = (view) => view.machine || view.note.replace(/^recorded \S+ /, "");
  if (work(a) !== work(b)) return "their orders differ";
  if (place(a) !== place(b)) return "they ran on different machines";
  return "";
}

function verdict(views) {
  const [a, b] = views,
    why = comparable(a, b);
  if (why) return h("p", { class: "sk-verdict sk-loud", role: "note" }, h("strong", {}, "Not comparable: "), `${why}.`);
  const [x, y] = [a, b].map((view) => (view.totals ||= memo(totals))(view.log, view.log.version)),
    name = b.title || "the right one";
  const cells = MEASURES.map(([key, label, less, more]) => {
    const k = x[key] && y[key] ? y[key] / x[key] : 1,
      by = k > 1 ? k : 1 / k,
      says = k > 1.05 ? [by, more] : k < 0.95 ? [by, less] : null;
    return h(
      "div",
      {},
      h("dt", {}, label),
      h(
        "dd",
        {},
        `${inWords(key, x[key])} → ${inWords(key, y[key])}`,
        h("strong", {}, says ? `${says[0] >= 9.95 ? Math.round(says[0]) : says[0].toFixed(1)}× ${says[1]}` : "as good as equal"),
      ),
    );
  });
  return h(
    "section",
    { class: "sk-verdict", "aria-label": "The whole run" },
    h("h2", {}, `The whole run: from “${a.title || "the left"}” to “${name}”`),
    h("dl", {}, cells),
  );
}
function wholeRun(view) {
  if (!isWhole(view)) return null;
  const it = (view.totals ||= memo(totals))(view.log, view.log.version);
  return h(
    "p",
    { class: "sk-whole" },
    h("strong", {}, "The whole run: "),
    `first token after ${secs(it.ttft)} (median TTFT), token gap ${secs(it.gap)} (median ITL), longest stall ${secs(it.stall)}${it.whose ? ` (order ${it.whose})` : ""}, ${inWords("pace", it.pace)} tokens/s (${many(it.tokens, "token")} in ${secs(it.span, 1)}).`,
  );
}
