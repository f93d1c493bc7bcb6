// A kitchen: one run. Everything on it is a function of the log, the time and the width.

const SPEAK_S = 4; // at most so often a screen reader hears of the moment

function kitchen(view) {
  const root = h2("section", "sk-kitchen"),
    hidden = h2("p", "sk-hidden"),
    put = canvas(root),
    slider = linkSlider(view),
    fly = flights(),
    scrub = scrubber(view);
  hidden.setAttribute("role", "status");
  root.append(hidden);
  let spokenAt = -Infinity,
    spoken = "";
  view.watch(root);
  return {
    root,
    draw(edge, force) {
      const width = view.widths.get(root) || 900,
        t = Math.min(view.clock.t, edge),
        now = Object.assign(moment(view.log, t), {
          spots: [],
          stands: [],
          cancels: view.offers("cancel"),
          kills: view.offers("kill"),
        });
      const stations = view.crewAt(now).map((who) => stationAt(now, who)),
        many = stations.some(({ of }) => of > CARDS),
        live = view.isLive(),
        says = sentence(now, stations);
      const floor = (many ? tilesFloor : floorOf)(now, stations, Math.floor(width)),
        line = xray(view, now, stations, edge, Math.floor(width));
      mark(root, "aria-label", view.title || "Kitchen");
      const origin = view.simulated
          ? "simulated"
          : live
            ? ""
            : view.stream
              ? t < edge
                ? "replay"
                : "the run is over"
              : "a recording",
        deployment = now.deployed?.deployment || view.log.deployment;
      scrub.draw(t, line.box, edge);
      put(
        h(
          "div",
          { class: `sk-inner${width < 560 ? " is-phone" : width < 860 ? " is-half" : ""}` },
          h(
            "div",
            { class: "sk-headline" },
            view.title ? h("strong", { class: "sk-title" }, view.title) : null,
            deployment ? h("span", { class: "sk-badge" }, DEPLOYMENTS[deployment] || deployment) : null,
            origin ? h("span", { class: "sk-badge sk-origin" }, origin) : null,
            h("span", { class: "sk-status", "data-live": view.isRunning() }, view.says()),
          ),
          chips(view, now, stations, edge, width),
          h("p", { class: "sk-now" }, h("strong", {}, says.lead), says.rest ? ` ${says.rest}` : ""),
          h(
            "div",
            {
              class: "sk-floor",
              style: `height:${floor.height}px`,
              "data-kind": stations.some(({ station }) => station === "prep") ? "split" : "joint",
              "data-many": many,
            },
            h(
              "svg",
              {
                class: "sk-scene",
                width: floor.width,
                height: floor.height,
                viewBox: `0 0 ${floor.width} ${floor.height}`,
                role: "img",
                "aria-label": `The kitchen. ${says.lead} ${says.rest}`,
              },
              h("clipPath", { id: `sk-${view.key}-room` }, rect(0, 0, floor.width, floor.height, { rx: 10 })),
              g({ "clip-path": `url(#sk-${view.key}-room)` }, floor.drawn),
              floor.link ? knob(floor.link, view.can.includes("link"), view.ceiling) : null,
            ),
            stations.map((one) =>
              h("span", { class: "sk-work sk-hidden", "data-mode": one.mode, key: one.name }, stationSays(one)),
            ),
            floor.link && view.can.includes("link") ? slider.draw(now, floor.link) : null,
            commands(view, now, stations),
          ),
          h("div", { class: "sk-line" }, line.drawn, own(scrub.root)),
          legend(stations, many, view.log),
          remark(now, stations),
          now.arrived && !view.alone?.() ? null : wholeRun(view),
          table(view, now),
        ),
      );
      fly(root, now, view.glides);
      if (says.key !== spoken && (performance.now() - spokenAt > SPEAK_S * 1000 || (force && !view.clock.playing))) {
        spokenAt = performance.now();
        spoken = says.key;
        hidden.textContent = `At ${secs(t, 1)}: ${says.lead} ${says.rest}`;
      }
    },
  };
}
/** A plain element, for what is made once. */
function h2(tag, name) {
  const node = document.createElement(tag);
  node.className = name;
  return node;
}

function stationSays(one) {
  const doing = {
    prefill: `preps ${orders(one.inPrep, 4)}`,
    decode: `plates ${many(one.step?.plates || 0, "answer")}`,
    mixed: `plates ${many(one.step?.plates || 0, "answer")} and preps a portion of ${orders(one.inPrep, 4)}`,
    idle: one.station === "hatch" ? "cannot be seen" : "has free hands",
    down: `is closed: ${one.why || "not up yet"}`,
  }[one.mode];
  return `${capital(one.called)} ${doing}. `;
}

/** What can be done to an order or a worker, where it is seen. */
function commands(view, now, stations) {
  const { kills } = now,
    button = (x, y, name, label, command, key) =>
      h(
        "button",
        {
          class: "sk-small",
          type: "button",
          key,
          style: `left:${Math.round(x)}px;top:${Math.round(y)}px`,
          "aria-label": label,
          title: label,
          onclick: () => view.order(command),
        },
        icon(name),
      );
  if (!kills && !now.cancels) return null;
  return [
    now.cancels
      ? now.spots
          .filter(({ order }) => order)
          .map(({ x, y, order }) =>
            button(
              x,
              y,
              "cancel",
              `Cancel order ${order.number}`,
              { do: "cancel", request: order.request },
              `cancel ${order.request}`,
            ),
          )
      : null,
    kills
      ? now.spots
          .filter(({ worker }) => worker && stations.find(({ name, up }) => name === worker && up))
          .map(({ x, y, worker }) => button(x, y, "kill", `Kill ${worker}`, { do: "kill", worker }, `kill ${worker}`))
      : null,
  ];
}

/** The signs that this run shows: a snowflake or a queue before the pass is told of once there is one. */
const legend = (stations, many, log) => {
  const froze = log.stalls.length > 0,
    queued = log.trays.some(queuedForPass),
    mixed = log.mixed;
  return kept(`legend ${many} ${froze} ${queued} ${mixed} ${[...new Set(stations.map(({ station }) => station))]}`, () =>
    legendOf(stations, many, froze, queued, mixed),
  );
};
function legendOf(stations, many, froze, queued, mixed) {
  const part = (drawn, says, wide = 28) =>
      h("span", {}, h("svg", { width: wide, height: 14, viewBox: `0 0 ${wide} 14`, "aria-hidden": "true" }, drawn), says),
    both = stations.some(({ station }) => station === "portions"),
    split = stations.some(({ station }) => station === "prep"),
    hatch = stations.some(({ station }) => station === "hatch");
  return h(
    "p",
    { class: "sk-legend" },
    hatch ? null : part(rect(1, 1, 26, 12, { rx: 2, class: "b-prep" }), "prep (prefill)"),
    mixed && !many
      ? part([rect(1, 1, 26, 12, { class: "b-prep" }), rect(1, 10, 26, 3, { class: "bar-plate" })], "prep, and a token for each plate")
      : null,
    split ? part(rect(1, 2, 26, 10, { rx: 2, class: "b-pass" }), "a tray crosses (KV cache)") : null,
    split && queued && !many ? part(path("M1 4H27V13", { class: "queue" }), "a tray waits for the pass") : null,
    many
      ? part(rect(1, 2, 26, 10, { class: "bar-plate" }), "plates (decode)")
      : [
          part(
            [path("M1 7H16", { class: "wait-line" }), path("M2 2v10", { class: "arrive" })],
            "comes in, waits for its first token",
          ),
          part(path("M3 3v8M8 3v8M13 3v8M18 3v8M23 3v8", { class: "ticks" }), "a token (decode)"),
          part(rect(1, 2, 26, 10, { class: "hatch" }), `no token for over ${LONG_AT} times the usual gap`),
          froze && !hatch ? part(snow(7, 7, 0.9), "frozen: gets no token", 14) : null,
          hatch
            ? null
            : part(
                [rect(1, 0, 26, 14, { class: "shadow" }), path("M1 0V14M27 0V14", { class: "shadow-edge" })],
                `the prep step ${split ? "or tray " : ""}that caused it`,
              ),
        ],
    hatch || many
      ? null
      : part(
          pipsOf(0, 13.5, 1, both ? 1 : 0, 1, both ? 3 : 2, 12),
          `each mark is a tenth of the last ${WINDOW_S} s: ${both ? "prefill, both in one step, or decode" : "prefill or decode"}`,
          both ? 38 : 28,
        ),
  );
}

/** Where the first token is made decides in which gap the time on the pass can be seen. */
function remark(now, stations) {
  const prep = stations.filter(({ station }) => station === "prep").map(({ name }) => name),
    first = prep.length && [...now.log.orders.values()].find((order) => order.tokens[0])?.tokens[0];
  if (!first) return h("p", { class: "sk-remark" });
  return h(
    "p",
    { class: "sk-remark" },
    prep.includes(first.worker)
      ? "Token 1 is made at the prep station, before the tray crosses: time on the pass shows in the gap before token 2."
      : "Token 1 is made at the plating line: time on the pass shows in the TTFT.",
  );
}

function table(view, now) {
  const head = ["Order", "State", "Prompt tokens", "TTFT", "Tokens", "Longest gap", "Tray"],
    called = (worker) => view.crewAt(now).find(({ name }) => name === worker)?.called || worker;
  const row = (order) => {
    const made = until(order.tokens, now.t),
      tray = order.trays.filter((one) => one.t0 <= now.t).at(-1),
      landed = tray && tray.t1 != null && tray.t1 <= now.t && tray.achieved != null;
    const verified = view.simulated || !landed ? "" : tray.verified ? ", verified" : ", checksum WRONG",
      asked = landed && tray.configured != null ? ` (set to ${rate(tray.configured)})` : "";
    const cells = [
      whereabouts(now.log, order, now.t, called),
      whole(order.prompt_tokens),
      made ? secs(order.tokens[0].t - order.t0) : "–",
      `${made} / ${order.max_output_tokens}`,
      made > 1 ? secs(worstGap(order, made).s) : "–",
      !tray
        ? "–"
        : landed
          ? `${bytes(tray.nbytes)} in ${secs(tray.seconds)} = ${rate(tray.achieved)}${asked}${verified}`
          : bytes(tray.nbytes),
    ];
    return h(
      "tr",
      { key: order.request },
      h("th", { scope: "row", title: order.prompt }, `${order.number}`),
      cells.map((says) => h("td", {}, says)),
    );
  };
  return h(
    "details",
    {
      class: "sk-details",
      ontoggle: (event) => {
        view.tableOpen = event.target.open;
      },
    },
    h("summary", {}, "Orders as a table"),
    view.tableOpen
      ? h(
          "div",
          { class: "sk-scroll", tabindex: 0, role: "group", "aria-label": "Orders" },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                head.map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            h("tbody", {}, [...now.log.orders.values()].filter((order) => order.t0 <= now.t).map(row)),
          ),
        )
      : null,
  );
}
