// Cards of the decisive moments: a still of the scene, what happened in words, and the way there.

/** The worst causes by longest stall times answers held, and the calm that shows that it need not be so. */
function decisive(log) {
  if (log.orders.size > 100) return [];
  const groups = new Map();
  for (const stall of log.stalls) {
    if (stall.cause.kind === "none") continue;
    const key = `${stall.cause.kind.replace("-ahead", "")} ${stall.cause.request}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(stall);
  }
  const weight = (all) =>
    Math.max(...all.map((stall) => stall.until - stall.since)) * new Set(all.flatMap(({ orders: who }) => who)).size;
  const worst = [...groups.values()]
    .sort((a, b) => weight(b) - weight(a))
    .slice(0, 2)
    .map((all) => {
      const first = all.reduce((a, b) => ((b.until - b.since) * b.orders.length > (a.until - a.since) * a.orders.length ? b : a));
      return {
        t: first.since,
        at: first.since + (first.until - first.since) * 0.8,
        worker: first.worker,
        pass: first.cause.kind.startsWith("tray") || first.cause.kind === "room",
        says: first.says,
        more: all.length > 1 ? `${many(all.length - 1, "more stall")} had the same cause.` : "",
      };
    });
  return [...worst.sort((a, b) => a.t - b.t), calm(log)].filter(Boolean);
}

/** How calm it is when no hand is away: beside a long prep, if another worker has the plates; else after the last prep. */
function calm(log) {
  const split = log.deployed.some(({ roles }) => roles.some(([, role]) => role === "prefill_only"));
  const gaps = [...log.orders.values()].flatMap((order) =>
    order.tokens
      .slice(1)
      .map((token, n) => ({ t: token.t, s: token.t - order.tokens[n].t, number: order.number, worker: token.worker })),
  );
  const steps = [...log.workers.values()].flatMap((worker) =>
    worker.steps.filter((step) => step.pieces.length && step.t1 != null),
  );
  if (!steps.length) return null;
  const last = steps.reduce((a, b) => (b.t1 > a.t1 ? b : a)),
    spans = split ? steps.filter((step) => step.mode === "prefill" && step.t1 - step.t0 > 0.3) : [{ t0: last.t1, t1: log.end }];
  const all = spans.map((step) => ({
    step,
    here: gaps.filter(({ t, s, worker }) => t > step.t0 && t <= step.t1 && worker !== step.worker && t - s >= step.t0 - 0.05),
  }));
  const best = all
    .filter(({ here }) => here.length > 10 && Math.max(...here.map(({ s }) => s)) < LONG_AT * usualAt(log, Infinity))
    .sort((a, b) => b.here.length - a.here.length)[0];
  if (!best) return null;
  const { step, here } = best,
    who = [...new Set(here.map(({ number }) => number))],
    pace = `a token every ${secs(median(here.map(({ s }) => s)))}, ${secs(Math.max(...here.map(({ s }) => s)))} at the most`;
  if (!split)
    return {
      t: step.t0,
      at: step.t0 + Math.min(0.5, (step.t1 - step.t0) / 3),
      worker: here[0].worker,
      says: `With no prompt left to prep, ${plates(who, 6)} got ${pace}.${log.stalls.length ? ` The median gap of the whole run, ${secs(usualAt(log, Infinity))}, shows none of the stalls.` : ""}`,
    };
  const by = step.pieces.map(([request]) => orderOf(log, request).number),
    count = step.pieces.reduce((sum, piece) => sum + piece[2], 0);
  return {
    t: step.t0,
    at: (step.t0 + step.t1) / 2,
    worker: here[0].worker,
    says: `While ${whole(count)} tokens of ${orders(by, 3)} were in prep, ${plates(who, 6)} went on: ${pace}.`,
  };
}

function cards(view, seek, title) {
  if (view.isLive() || !view.log.orders.size) return null;
  const made = (view.cards ||= memo((log) => decisive(log).map((one) => ({ ...one, still: still(log, one) }))))(
    view.log,
    view.log.version,
    penTurn,
  );
  if (!made.length) return null;
  return h(
    "section",
    { class: "sk-moments", "aria-label": title ? `Decisive moments: ${title}` : "Decisive moments" },
    h("h2", {}, title ? `What happened: ${title}` : "What happened"),
    h(
      "ul",
      { role: "list" },
      made.map((one) =>
        h(
          "li",
          { key: `${one.at}` },
          one.still,
          h(
            "div",
            { class: "sk-card-head" },
            h("strong", {}, `At ${secs(one.t)}`),
            h(
              "button",
              { type: "button", "aria-label": `Go to ${secs(one.t)}`, onclick: () => seek(one.t) },
              icon("play"),
              "Go there",
            ),
          ),
          h("p", {}, one.says, one.more ? ` ${one.more}` : ""),
        ),
      ),
    ),
  );
}
