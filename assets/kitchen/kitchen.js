// A kitchen: one run. Everything on it is a function of the log, the time and the width.

const SPEAK_S = 4; // at most so often a screen reader hears of the moment

function kitchen(view) {
  const root = h2("section", "sk-kitchen"), hidden = h2("p", "sk-hidden"), put = canvas(root), slider = linkSlider(view), scrub = scrubber(view);
  hidden.setAttribute("role", "status");
  root.append(hidden);
  let spokenAt = -Infinity, spoken = "";
  view.watch(root);
  return { root, draw(edge, force) {
    const width = view.widths.get(root) || 900, t = Math.min(view.clock.t, edge), now = Object.assign(moment(view.log, t), { reduced: view.reduced, spots: [], cancels: view.offers("cancel") });
    const stations = view.crewAt(now).map((who) => stationAt(now, who)), many = stations.some(({ of }) => of > CARDS), live = view.isLive(), says = sentence(now, stations);
    const floor = (many ? tilesFloor : floorOf)(now, stations, Math.floor(width)), line = xray(view, now, stations, edge, Math.floor(width));
    root.setAttribute("aria-label", view.title || "Kitchen");
    const origin = view.simulated ? "simulated" : live ? "" : view.stream ? (t < edge ? "replay" : "the run is over") : "a recording", deployment = now.deployed?.deployment || view.log.deployment;
    scrub.draw(t, line.box, edge);
    put(h("div", { class: `sk-inner${width < 560 ? " is-phone" : width < 860 ? " is-half" : ""}` },
      h("div", { class: "sk-headline" }, view.title ? h("strong", { class: "sk-title" }, view.title) : null, deployment ? h("span", { class: "sk-badge" }, DEPLOYMENTS[deployment] || deployment) : null,
        origin ? h("span", { class: "sk-badge sk-origin" }, origin) : null, h("span", { class: "sk-status", "data-live": view.isRunning() }, view.says())),
      chips(view, now, stations, edge, width),
      h("p", { class: "sk-now" }, h("strong", {}, says.lead), says.rest ? ` ${says.rest}` : ""),
      h("div", { class: "sk-floor", "data-kind": stations.some(({ station }) => station === "prep") ? "split" : "joint", "data-many": many },
        h("svg", { class: "sk-scene", width: floor.width, height: floor.height, viewBox: `0 0 ${floor.width} ${floor.height}`, role: "img", "aria-label": `The kitchen. ${says.lead} ${says.rest}` },
          h("clipPath", { id: `sk-${view.key}-room` }, rect(0, 0, floor.width, floor.height, { rx: 10 })), g({ "clip-path": `url(#sk-${view.key}-room)` }, floor.drawn), floor.link && !view.can.includes("link") ? knob(floor.link) : null),
        stations.map((one) => h("span", { class: "sk-work sk-hidden", "data-mode": one.mode, key: one.name }, stationSays(one))), floor.link && view.can.includes("link") ? slider.draw(now, floor.link) : null, commands(view, now, stations)),
      h("div", { class: "sk-line" }, line.drawn, own(scrub.root)), legend(stations, many), remark(now, stations), now.arrived && !view.alone?.() ? null : wholeRun(view),
      table(view, now)));
    if (says.key !== spoken && (performance.now() - spokenAt > SPEAK_S * 1000 || (force && !view.clock.playing))) { spokenAt = performance.now(); spoken = says.key; hidden.textContent = `At ${secs(t, 1)}: ${says.lead} ${says.rest}`; }
  } };
}
/** A plain element, for what is made once. */
function h2(tag, name) { const node = document.createElement(tag); node.className = name; return node; }

function stationSays(one) {
  const doing = { prefill: `preps ${orders(one.inPrep, 4)}`, decode: `plates ${many(one.step?.plates || 0, "answer")}`, mixed: `plates ${many(one.step?.plates || 0, "answer")} and preps a portion of ${orders(one.inPrep, 4)}`, idle: one.station === "hatch" ? "cannot be seen" : "has free hands", down: `is closed: ${one.why || "not up yet"}` }[one.mode];
  return `${capital(one.called)} ${doing}. `;
}

/** What can be done to an order or a worker, where it is seen. */
function commands(view, now, stations) {
  const kills = view.offers("kill"), button = (x, y, name, label, command, key) => h("button", { class: "sk-small", type: "button", key, style: `left:${Math.round(x)}px;top:${Math.round(y)}px`, "aria-label": label, title: label, onclick: () => view.order(command) }, icon(name));
  if (!kills && !now.cancels) return null;
  return [now.cancels ? now.spots.filter(({ order }) => order).map(({ x, y, order }) => button(x, y, "cancel", `Cancel order ${order.number}`, { do: "cancel", request: order.request }, `cancel ${order.request}`)) : null,
    kills ? now.spots.filter(({ worker }) => worker && stations.find(({ name, up }) => name === worker && up)).map(({ x, y, worker }) => button(x, y, "kill", `Kill ${worker}`, { do: "kill", worker }, `kill ${worker}`)) : null];
}

function legend(stations, many) {
  const part = (drawn, says) => h("span", {}, h("svg", { width: 28, height: 14, viewBox: "0 0 28 14", "aria-hidden": "true" }, drawn), says), split = stations.some(({ station }) => station === "prep"), hatch = stations.some(({ station }) => station === "hatch");
  return h("p", { class: "sk-legend" }, hatch ? null : part(rect(1, 1, 26, 12, { rx: 2, class: "b-prep" }), "prep (prefill)"), split ? part(rect(1, 2, 26, 10, { rx: 2, class: "b-pass" }), "a tray crosses (KV cache)") : null,
    many ? part(rect(1, 2, 26, 10, { class: "bar-plate" }), "plates (decode)") : [part([path("M1 7H16", { class: "wait-line" }), path("M2 2v10", { class: "arrive" })], "comes in, waits for its first token"), part(path("M3 3v8M8 3v8M13 3v8M18 3v8M23 3v8", { class: "ticks" }), "a token (decode)"),
      part(rect(1, 2, 26, 10, { class: "hatch" }), `no token for more than ${LONG_AT} usual gaps`), part([rect(1, 0, 26, 14, { class: "shadow" }), path("M1 0V14M27 0V14", { class: "shadow-edge" })], `what held ${split ? "the hands or the pass" : "the hands"} meanwhile`)],
    part([path("M2 13C1 8 6 6 6 1C9 6 12 8 10 13Z", { class: "flames" }), path("M17 13l4 -12", { class: "strokes" })], "of the last 3 s: a tenth in prefill, a tenth in decode"));
}

/** Where the first token is made decides in which gap the time on the pass can be seen. */
function remark(now, stations) {
  const prep = stations.filter(({ station }) => station === "prep").map(({ name }) => name), first = prep.length && [...now.log.orders.values()].find((order) => order.tokens[0])?.tokens[0];
  if (!first) return null;
  return h("p", { class: "sk-remark" }, prep.includes(first.worker) ? "Token 1 is made at the prep station, before the tray crosses: time on the pass shows in the gap before token 2." : "Token 1 is made at the plating line: time on the pass shows in the TTFT.");
}

function table(view, now) {
  const head = ["Order", "State", "Prompt tokens", "TTFT", "Tokens", "Longest gap", "Tray"], called = (worker) => view.crewAt(now).find(({ name }) => name === worker)?.called || worker;
  const row = (order) => {
    const made = until(order.tokens, now.t), tray = order.trays.filter((one) => one.t0 <= now.t).at(-1), landed = tray && tray.t1 != null && tray.t1 <= now.t && tray.achieved != null;
    const verified = view.simulated || !landed ? "" : tray.verified ? ", verified" : ", checksum WRONG", asked = landed && tray.configured != null ? ` (set to ${rate(tray.configured)})` : "";
    const cells = [whereabouts(now.log, order, now.t, called), whole(order.prompt_tokens), made ? secs(order.tokens[0].t - order.t0) : "–", `${made} / ${order.max_output_tokens}`, made > 1 ? secs(worstGap(order, made).s) : "–",
      !tray ? "–" : landed ? `${bytes(tray.nbytes)} in ${secs(tray.seconds)} = ${rate(tray.achieved)}${asked}${verified}` : bytes(tray.nbytes)];
    return h("tr", { key: order.request }, h("th", { scope: "row" }, `${order.number}`), cells.map((says) => h("td", {}, says)));
  };
  return h("details", { class: "sk-details", ontoggle: (event) => { view.tableOpen = event.target.open; } }, h("summary", {}, "Orders as a table"),
    view.tableOpen ? h("div", { class: "sk-scroll", tabindex: 0, role: "group", "aria-label": "Orders" }, h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, [...now.log.orders.values()].filter((order) => order.t0 <= now.t).map(row)))) : null);
}

// ---- the belt's knob, and the playhead, which are also in somebody's hand

function knob({ x, y, width, share, bare }) {
  return [path(`M${f1(x)} ${y + 10}L${f1(x + width)} ${y + 16}V${y + 4}Z`, { class: "wedge" }), path(`M${f1(x)} ${y + 10}L${f1(x + width * share)} ${f1(y + 10 + 6 * share)}V${f1(y + 10 - 6 * share)}Z`, { class: "wedge-full" }), circle(x + width * share, y + 10, 7, { class: "knob" })];
}

const CONFIRMED_MS = 5000; // by then the run has the link that was asked for, or another

/** Acts while it is dragged, ten times a second at most; the page hears of it on release. What was chosen stays until the
 *  log has it too, which on a busy machine takes a while. */
function linkSlider(view) {
  const range = h2("input", "sk-link"), out = h2("output", "sk-link-says"), root = h2("div", "sk-slider");
  Object.assign(range, { type: "range", min: 0, max: NOTCHES, step: 1 });
  range.setAttribute("aria-label", "Width of the belt");
  root.append(range, out);
  let sent = 0, timer = 0, telling = 0, held = false, chosen = 0, chosenAt = -Infinity, told = null;
  const act = () => {
    clearTimeout(timer);
    const wait = sent + 100 - performance.now();
    if (wait > 0) { timer = setTimeout(act, wait); return; }
    sent = performance.now();
    view.send({ do: "link", bandwidth_bytes_per_s: rateOf(chosen), latency_s: view.latency });
  };
  const tell = () => {
    const bandwidth = rateOf(+range.value), like = likeFabric(view.ruler, bandwidth);
    told = range.value;
    range.setAttribute("aria-valuetext", [rate(bandwidth), like].filter(Boolean).join(", "));
    range.style.setProperty("--share", `${(100 * range.value / NOTCHES).toFixed(1)}%`);
    out.textContent = held || view.linkSet ? [rate(bandwidth), like].filter(Boolean).join(": ") : like;
  };
  range.oninput = () => { held = true; chosen = +range.value; chosenAt = performance.now(); tell(); if (view.isLive()) act(); };
  range.onchange = () => {
    held = false;
    view.linkSet = true;
    clearTimeout(telling);
    telling = setTimeout(() => view.emit("link", rateOf(+range.value)), 300);
  };
  return { draw(now, { x, y, width }) {
    view.latency = now.link ? now.link.latency : 0;
    const place = `left:${Math.round(x - 8)}px;top:${Math.round(y - 3)}px;width:${Math.round(width + 16)}px`;
    if (root.placed !== place) { root.placed = place; root.style.cssText = place; }
    const notch = now.link ? notchOf(now.link.bandwidth) : 0;
    if (!held && now.link && !(view.linkSet && !view.isLive()) && (notch === chosen || performance.now() - chosenAt >= CONFIRMED_MS)) {
      chosenAt = -Infinity;
      if (+range.value !== notch || told == null) { range.value = notch; tell(); }
    }
    return own(root);
  } };
}

/** A slider over the x-ray, whose handle is the playhead. */
function scrubber(view) {
  const root = h2("input", "sk-scrub");
  Object.assign(root, { type: "range", min: 0, max: 1000, step: 1 });
  if (view.first()) root.setAttribute("aria-label", "Time"); else { root.setAttribute("aria-hidden", "true"); root.tabIndex = -1; }
  let box = null;
  root.oninput = () => { if (box) view.seek(box.from + root.value / 1000 * (box.to - box.from)); };
  return { root, draw(t, now, edge) {
    box = now;
    const place = `left:${box.left}px;width:${box.right - box.left}px`, value = Math.round(1000 * clamp((t - box.from) / (box.to - box.from), 0, 1));
    if (root.placed !== place) { root.placed = place; root.style.left = `${box.left}px`; root.style.width = `${box.right - box.left}px`; }
    if (+root.value !== value) root.value = value;
    const says = `${t.toFixed(1)} of ${edge.toFixed(1)} seconds`;
    if (root.says !== says) { root.says = says; root.setAttribute("aria-valuetext", says); }
  } };
}
