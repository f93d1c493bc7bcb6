// The stations: each builds its nodes once and draws a moment in them.

function door(view) {
  const list = el("ul", { class: "sk-tickets", role: "list" }), more = el("span", { class: "sk-more" }), count = el("span", { class: "sk-count" });
  const draw = slots(SEEN.tickets, () => ticketNode(view), list, more);
  const root = el("div", { class: "sk-station sk-door", role: "group", "aria-label": WORDS.door.name }, titled("door", 0, count), list, more);
  return { root, draw(now) { say(count, `${now.tickets.length}`); draw(now.tickets, now.t); } };
}

function ticketNode(view) {
  const number = chip(""), tokens = el("span", { class: "sk-grow" }), wait = el("span", { class: "sk-soft" }), size = el("i", { class: "sk-size" });
  const remove = cancelButton(view);
  const root = el("li", { class: "sk-ticket" },
    el("div", { class: "sk-row" }, number, tokens, remove),
    el("div", { class: "sk-row" }, el("span", { class: "sk-grow" }, size), wait));
  return { root, draw({ order, ticket }, t) {
    say(number, `${order.number}`);
    say(tokens, `${order.prompt_tokens} tok`);
    say(wait, secs(t - ticket.t0, 1));
    set(root, "title", order.prompt || null);
    style(size, "width", `${Math.min(100, 12 + 88 * Math.log2(1 + order.prompt_tokens / 32) / 6).toFixed(0)}%`);
    remove.aim(order);
  } };
}

function cancelButton(view) {
  const act = () => view.order({ do: "cancel", request: button.request });
  const button = el("button", { class: "sk-small", type: "button", hidden: true, onclick: act }, icon("cancel"));
  button.aim = (order) => {
    button.request = order.request;
    set(button, "aria-label", `Cancel order ${order.number}`);
    set(button, "hidden", !view.offers("cancel"));
  };
  return button;
}

/** One worker. What it does now stands on top; below it pans (prep) and plates (plating), as far as it has a hand in them. */
function workCard(view, key, number, name) {
  const hatch = key === "hatch", preps = key !== "plating" && !hatch, platesToo = key !== "prep", parts = [];
  const kill = el("button", { class: "sk-small", type: "button", hidden: true, "aria-label": `Kill ${name}`, title: `Kill ${name}`,
    onclick: () => view.order({ do: "kill", worker: name }) }, icon("kill"));
  const doing = el("strong"), detail = el("span", { class: "sk-detail" }), since = el("span", { class: "sk-value" });
  const banner = el("div", { class: "sk-now" }, el("div", { class: "sk-row" }, el("i", { class: "sk-sign" }), doing, since), detail);
  const shelf = meter(`KV ${WORDS.shelf.name.toLowerCase()}`, "shelf"), load = meter("Busy", "busy");
  shelf.root.title = `${WORDS.shelf.serving}: ${WORDS.shelf.says}`;
  if (preps) parts.push(pans(name, platesToo ? 2 : SEEN.pans));
  if (platesToo) parts.push(plateGrid(view, name));
  const root = el("div", { class: "sk-station sk-work", role: "group", "aria-label": `${WORDS[key].name} ${number || ""} (${name})`, "data-key": key },
    titled(key, number, kill), banner, ...parts.map((part) => part.root), hatch ? null : el("div", { class: "sk-foot" }, shelf.root, load.root));
  return { root, draw(now, seldom) {
    const worker = workerOf(now.log, name), step = stepAt(worker, now.t, now.log.pause), up = !worker.ups.length || during(worker.ups, now.t);
    const mode = !up ? "down" : step ? step.mode : hatch ? "hatch" : "idle";
    set(root, "data-mode", mode);
    say(doing, DOING[mode]);
    say(detail, up ? (step ? stepDetail(now.log, step) : idleSays(key, now)) : latest(worker.ups, now.t, "t0")?.why || "starting");
    say(since, step && now.t - step.t0 >= 0.1 ? secs(now.t - step.t0, 1) : "");
    set(kill, "hidden", !view.offers("kill") || !up);
    for (const part of parts) part.draw(now, worker, view.common);
    if (!seldom) return;
    const room = latest(worker.shelf, now.t), share = busy(worker, now.t);
    shelf.draw(room ? room.used / room.blocks : 0, room ? `${room.used}/${room.blocks} blocks` : "–");
    load.draw(share, `${Math.round(100 * share)} %`);
  } };
}

/** Many workers of one kind, a tile each: what it does is its colour and sign, its number what it has in hand. */
function tiles(key, names) {
  const list = el("div", { class: "sk-tiles", role: "list", "data-few": names.length <= 16 }), sum = el("p", { class: "sk-line sk-soft" });
  const made = names.map((name, n) => tile(key, name, n + 1, list));
  const root = el("div", { class: "sk-station sk-work sk-many", role: "group", "aria-label": `${names.length} times ${WORDS[key].name}`, "data-key": key },
    titled(key, 0, el("span", { class: "sk-count" }, `× ${names.length}`)), sum, list);
  return { root, draw(now, seldom) {
    const pans = new Map();
    for (const { prep } of now.preps) pans.set(prep.worker, (pans.get(prep.worker) || 0) + 1);
    let working = 0, used = 0, blocks = 0;
    for (const draw of made) {
      const { mode, room } = draw(now, pans, seldom);
      working += mode !== "idle" && mode !== "down";
      if (room) { used += room.used; blocks += room.blocks; }
    }
    say(sum, `${working} of ${names.length} at work. In each: ${key === "prep" ? "orders in prep" : "plates"}${blocks ? `; bar: its shelf (all: ${Math.round(100 * used / blocks)} % full)` : ""}`);
  } };
}

function tile(key, name, number, list) {
  const count = el("span", { class: "sk-hands" }), fill = el("i", { class: "sk-fill" });
  const root = el("div", { class: "sk-tile", role: "listitem" }, el("i", { class: "sk-sign" }), el("span", { class: "sk-called" }, number), count, el("span", { class: "sk-track" }, fill));
  list.append(root);
  return (now, pans, seldom) => {
    const worker = workerOf(now.log, name), step = stepAt(worker, now.t, now.log.pause), room = latest(worker.shelf, now.t);
    const mode = worker.ups.length && !during(worker.ups, now.t) ? "down" : step ? step.mode : "idle";
    const plates = now.plates.get(name)?.length || 0, preps = pans.get(name) || 0, hands = key === "prep" ? preps : plates;
    set(root, "data-mode", mode);
    set(root, "data-frozen", mode === "prefill" && plates > 0);
    say(count, hands ? `${hands}` : "");
    style(fill, "transform", `scaleX(${(room ? room.used / room.blocks : 0).toFixed(2)})`);
    if (seldom) set(root, "title", `${named(now.log, name)}: ${DOING[mode].toLowerCase()}, ${[key === "plating" ? "" : `${preps} in prep`, key === "prep" ? "" : `${plates} plates`].filter(Boolean).join(", ")}`);
    return { mode, room };
  };
}

const DOING = { prefill: "Prepping", decode: "Plating", mixed: "Plating + a portion of prep", idle: "Hands free", hatch: "Hands unseen", down: "Station is down" };

function stepDetail(log, step) {
  const tokens = step.pieces.reduce((sum, piece) => sum + piece[2], 0), first = step.pieces[0];
  const prep = !first ? "" : `${tokens} tok of ${step.pieces.length > 1 ? `${step.pieces.length} orders` : `order ${orderOf(log, first[0]).number}`}`;
  const plates = step.plates ? `1 token on ${step.plates === 1 ? "1 plate" : `${step.plates} plates`}` : "";
  return [plates, prep].filter(Boolean).join(" + ");
}
function idleSays(key, now) {
  if (key === "hatch") return "tokens come out as they are heard";
  if (key === "plating") return now.trays.length + now.waiting.length ? "waits for a tray" : "no plates";
  return now.tickets.length ? "orders wait at the door" : "no orders";
}

/** What is being prepped: done so far, and hatched what is in the pan in this very step. */
function pans(name, count) {
  const list = el("div", { class: "sk-pans" }), more = el("span", { class: "sk-more" });
  const draw = slots(count, () => {
    const number = chip(""), text = el("span", { class: "sk-value" }), done = el("i", { class: "sk-done" }), cooking = el("i", { class: "sk-cooking" });
    const root = el("div", { class: "sk-pan" }, number, el("span", { class: "sk-track" }, cooking, done), text);
    return { root, draw({ order, prep, made, next }) {
      say(number, `${order.number}`);
      say(text, !made && next >= prep.tokens ? `all ${next}` : `${made}/${prep.tokens}`); // in one go nothing can be seen of it
      style(done, "width", `${(100 * made / prep.tokens).toFixed(1)}%`);
      style(cooking, "width", `${(100 * next / prep.tokens).toFixed(1)}%`);
    } };
  }, list, more);
  return { root: el("div", { class: "sk-part" }, list, more), draw(now, worker) {
    draw(now.preps.filter(({ prep }) => prep.worker === name).map((item) => ({ ...item, ...prepared(worker, item, now.t) })));
  } };
}

function prepared(worker, { order, prep }, t) {
  let made = 0, next = 0;
  for (let n = until(worker.steps, t, "t0") - 1; n >= 0 && worker.steps[n].t0 >= prep.t0; n -= 1) {
    const step = worker.steps[n];
    for (const [request, start, tokens] of step.pieces) {
      if (request !== order.request) continue;
      next = Math.max(next, start + tokens);
      if (step.t1 != null && step.t1 <= t) made = Math.max(made, start + tokens);
    }
  }
  return { made, next };
}

/** As many plates as ever stood side by side, within what the eye can take in. A plate keeps its place. */
function plateGrid(view, name) {
  const list = el("div", { class: "sk-plates" }), more = el("span", { class: "sk-more" }), made = [];
  return { root: el("div", { class: "sk-part" }, list, more), draw(now, worker, common) {
    const sizes = [2, 4, 6, 9, 12].filter((size) => size <= view.mostPlates);
    const count = sizes.find((size) => size >= worker.slots.length) || sizes.at(-1), bySlot = [], beyond = [];
    while (made.length < count) { made.push(plateNode(view)); list.append(made.at(-1).root); }
    for (const item of now.plates.get(name) || []) if (item.plate.slot < count) bySlot[item.plate.slot] = item; else beyond.push(item);
    for (let n = 0; n < count && beyond.length; n += 1) bySlot[n] ||= beyond.shift();
    made.forEach((slot, n) => {
      set(slot.root, "hidden", n >= count);
      set(slot.root, "data-empty", !bySlot[n]);
      if (bySlot[n]) slot.draw(bySlot[n], now.t, common);
    });
    say(more, beyond.length ? `+${beyond.length} more plates` : "");
  } };
}

function plateNode(view) {
  const number = chip(""), count = el("span", { class: "sk-grow" }), pace = el("span", { class: "sk-soft" });
  const before = el("span"), newest = el("mark"), stalled = el("span", { class: "sk-stalled" }), remove = cancelButton(view);
  const root = el("div", { class: "sk-plate" }, el("div", { class: "sk-row" }, number, count, pace, remove),
    el("div", { class: "sk-answer" }, el("p", {}, before, newest)), el("div", { class: "sk-ice" }, icon("stall"), stalled));
  return { root, draw({ order, plate }, t, common) {
    const made = until(order.tokens, t), last = order.tokens[made - 1];
    const usual = usualGap(order, made, common), since = t - Math.max(last ? last.t : plate.t0, made > 1 ? 0 : plate.t0);
    const frozen = since > LONG_AT * usual ? "long" : since > FROZEN_AT * usual ? "short" : null;
    say(number, `${order.number}`);
    say(count, `${made}/${order.max_output_tokens}`);
    say(pace, made > 2 ? `${Number((1 / usual).toPrecision(2))}/s` : "");
    say(before, answer(order, made - 1).slice(-160));
    say(newest, last ? last.text : "");
    set(root, "data-frozen", frozen);
    say(stalled, frozen ? `stalled ${secs(since, 1)}` : "");
    remove.aim(order);
  } };
}

/** The belt: as thick as the link is wide. Trays stand where their bytes have got to. */
function pass(view) {
  const belts = sv("svg", { class: "sk-belts", role: "img", "aria-label": "Trays on the pass" }), rows = [];
  const trays = el("span", { class: "sk-row" }), others = el("span"), last = el("p", { class: "sk-line" });
  const queue = el("span"), waiting = el("p", { class: "sk-soft sk-waiting" }, queue, trays, others);
  const more = el("span", { class: "sk-more" }), wide = el("strong"), latency = el("span", { class: "sk-soft" });
  const slider = linkSlider(view), drawWaiting = slots(SEEN.waiting, () => {
    const root = el("span", { class: "sk-mini" });
    return { root, draw: ({ order }) => say(root, `${order.number}`) };
  }, trays, others);
  const root = el("div", { class: "sk-station sk-pass", role: "group", "aria-label": WORDS.pass.name },
    titled("pass"), el("p", { class: "sk-row sk-rate" }, wide, latency), waiting, belts, more, slider.root, last);
  return { root, belts, draw(now, seldom) {
    const width = view.widths.get(belts) || 240, many = rolesAt(now).filter(([, role]) => role === "decode_only").length > 1;
    const count = Math.max(1, Math.min(SEEN.belts, now.log.belts.length));
    while (rows.length < count) { rows.push(beltRow(rows.length)); belts.append(rows.at(-1).root); }
    set(belts, "height", `${count * 56 + 4}`);
    set(belts, "viewBox", `0 0 ${width} ${count * 56 + 4}`);
    rows.forEach((row, n) => row.draw(now, now.trays.find(({ tray }) => tray.slot === n), width, view.reduced, many));
    const hidden = now.trays.filter(({ tray }) => tray.slot >= count).length;
    say(more, hidden ? `+${hidden} more trays` : "");
    say(wide, rate(now.link ? now.link.bandwidth : null));
    say(latency, now.link?.latency ? `+ ${secs(now.link.latency)} latency` : "");
    set(waiting, "data-empty", !now.waiting.length);
    say(queue, `${now.waiting.length} waiting to cross:`);
    drawWaiting(now.waiting);
    slider.draw(now);
    if (seldom) say(last, lastTray(now, view.simulated));
  } };
}

function lastTray({ log, t }, simulated) {
  let best = null;
  for (const tray of log.trays) if (tray.t1 != null && tray.t1 <= t && tray.achieved != null && (!best || tray.t1 > best.t1)) best = tray;
  if (!best) return "No tray has crossed yet";
  const asked = best.configured == null ? "unpaced" : `set to ${rate(best.configured)}`, sum = simulated ? "" : (best.verified ? ", verified" : ", checksum WRONG");
  const took = best.seconds < 1e-6 ? `${bytes(best.nbytes)} at once` : `${bytes(best.nbytes)} in ${secs(best.seconds)} = ${rate(best.achieved)}`;
  return `Last: tray ${orderOf(log, best.request).number}, ${took} (${asked})${sum}`;
}

function beltRow(n) {
  const y = n * 56 + 38, belt = sv("rect", { class: "sk-belt", rx: 3 }), arrows = sv("path", { class: "sk-arrows" }), cut = sv("path", { class: "sk-cut" });
  const number = sv("text", { class: "sk-trayno", "text-anchor": "middle", y: 5 }), label = sv("text", { class: "sk-label", "text-anchor": "middle", y: -18 });
  const box = sv("g", { class: "sk-tray" }, sv("path", { d: "M-27-4h5M22-4h5M-27-4v5M27-4v5" }), sv("rect", { x: -22, y: -12, width: 44, height: 24, rx: 5 }), number);
  const tray = sv("g", {}, box, label), root = sv("g", {}, belt, arrows, cut, tray);
  return { root, draw(now, item, width, reduced, many) {
    const thick = beltPx(now.link ? now.link.bandwidth : null), middle = width / 2;
    for (const [key, value] of [["x", -12], ["width", width + 24], ["y", y - thick / 2], ["height", thick]]) set(belt, key, `${value}`);
    let d = "";
    for (let x = 6; x < width; x += 36) d += `M${x} ${y - 4}l5 4-5 4`;
    set(arrows, "d", thick > 9 ? d : "");
    set(cut, "d", thick ? "" : `M-11 ${y}H${middle - 14}M${middle + 14} ${y}H${width + 11}M${middle - 6} ${y - 8}l12 16M${middle + 6} ${y - 8}l-12 16`);
    set(tray, "visibility", item ? "visible" : "hidden");
    if (!item) return;
    const done = trayBytes(item.tray, now.t, !reduced), share = item.tray.nbytes ? done / item.tray.nbytes : 0;
    const x = 30 + (width - 60) * (reduced ? Math.floor(share * 2 + 0.001) / 2 : share), text = Math.min(Math.max(x, 66), width - 66);
    set(tray, "transform", `translate(${x.toFixed(1)} ${y})`);
    set(label, "x", `${(text - x).toFixed(1)}`);
    say(number, `${item.order.number}`);
    say(label, `${bytes(item.tray.nbytes)} · ${Math.floor(100 * share)} %${many ? ` → ${named(now.log, item.tray.target)}` : ""}`);
  } };
}

const CONFIRMED_MS = 5000; // by then the run has the link that was asked for, or another

/** Acts while it is dragged, ten times a second at most; the page hears of it on release. What was chosen stays until the
 *  log has it too, which on a busy machine takes a while. */
function linkSlider(view) {
  const id = `sk-link-${Math.random().toString(36).slice(2)}`, value = el("output", { for: id }), hint = el("span", { class: "sk-soft" });
  let sent = 0, timer = 0, telling = 0, held = false, chosen = 0, chosenAt = -Infinity;
  const act = () => {
    clearTimeout(timer);
    const wait = sent + 100 - performance.now();
    if (wait > 0) { timer = setTimeout(act, wait); return; }
    sent = performance.now();
    view.send({ do: "link", bandwidth_bytes_per_s: rateOf(chosen), latency_s: view.latency });
  };
  const tell = () => {
    const bandwidth = rateOf(+range.value);
    say(value, rate(bandwidth));
    set(range, "aria-valuetext", rate(bandwidth));
    say(hint, likeFabric(view, bandwidth));
  };
  const range = el("input", { id, type: "range", min: 0, max: NOTCHES, step: 1,
    oninput: () => { held = true; chosen = +range.value; chosenAt = performance.now(); tell(); if (view.isLive()) act(); },
    onchange: () => {
      const bandwidth = rateOf(+range.value);
      held = false;
      view.linkSet = true;
      clearTimeout(telling);
      telling = setTimeout(() => view.emit("link", bandwidth), 300);
    } });
  const root = el("div", { class: "sk-slider", hidden: true }, el("label", { for: id }, "Width of the belt"), range, value, hint);
  return { root, draw(now) {
    set(root, "hidden", !view.can.includes("link"));
    view.latency = now.link ? now.link.latency : 0;
    if (held || !now.link || (view.linkSet && !view.isLive())) return;
    const notch = notchOf(now.link.bandwidth);
    if (notch !== chosen && performance.now() - chosenAt < CONFIRMED_MS) return;
    chosenAt = -Infinity;
    if (+range.value !== notch || !value.said) { range.value = notch; tell(); }
  } };
}

/** The scale ruler: the real fabric with the same shipping ratio, if the page has sent one. */
function likeFabric(view, bandwidth) {
  if (!view.ruler?.length || bandwidth == null) return "";
  const far = (mark) => Math.abs(Math.log(mark.bytes_per_s / bandwidth));
  const nearest = view.ruler.reduce((a, b) => (far(a) <= far(b) ? a : b));
  return `acts like ${nearest.label}`;
}

function served() {
  const list = el("ul", { class: "sk-done-list", role: "list" }), count = el("span", { class: "sk-count" }), more = el("span", { class: "sk-more" });
  const draw = slots(SEEN.served, () => {
    const number = chip(""), text = el("span", {}), root = el("li", { class: "sk-row" }, number, text);
    return { root, draw(order) {
      say(number, `${order.number}`);
      say(text, order.reason === "cancelled" ? "cancelled" : `${order.tokens.length} tok, TTFT ${secs(order.tokens[0] ? order.tokens[0].t - order.t0 : null)}`);
    } };
  }, list);
  const root = el("div", { class: "sk-station sk-served", role: "group", "aria-label": WORDS.served.name }, titled("served", 0, count), list, more);
  return { root, draw(now) {
    say(count, `${now.served.length}`);
    draw([...now.served].sort((a, b) => b.t1 - a.t1));
  } };
}
