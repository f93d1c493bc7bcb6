// A kitchen: one run.

const NUMBERS = [["ttft", "First token (TTFT), median"], ["last", "TTFT, latest"], ["gap", "Token gap (ITL), median"],
  ["stall", "Longest stall"], ["pace", "Tokens per second"]];

/** One run: built once, rebuilt only when the stations themselves change. */
function kitchen(view) {
  const title = el("strong", { class: "sk-title" }), kind = el("span", { class: "sk-badge" }), status = el("span", { class: "sk-status" });
  const origin = el("span", { class: "sk-badge sk-origin" });
  const floor = el("div", { class: "sk-floor" }), line = timeline(view), strip = el("dl", { class: "sk-numbers" }), values = {};
  for (const [key, label] of NUMBERS) strip.append(el("div", {}, el("dt", {}, label), values[key] = el("dd", {}, "–")));
  const remark = el("p", { class: "sk-remark" }), table = orderTable(), hidden = el("p", { class: "sk-hidden", role: "status" });
  const root = el("section", { class: "sk-kitchen" }, el("div", { class: "sk-headline" }, title, kind, origin, status),
    strip, floor, line.root, legend(), remark, table.root, hidden);
  const always = { first: door(view), last: served(), middle: null };
  let stations = { key: null, all: [], lanes: [] }, numbersAt = 0, tableAt = 0, spokenAt = -Infinity;
  view.watch(line.root);
  return { root, draw(edge, force) {
    const t = Math.min(view.clock.t, edge), now = moment(view.log, t), clock = performance.now();
    const roles = rolesAt(now), key = JSON.stringify(roles), lines = roles.filter(([, role]) => role !== "prefill_only").length;
    view.mostPlates = Math.max(4, ((view.widths.get(line.root) || 900) < 540 ? 6 : 16) / (lines * view.crowd()));
    if (key !== stations.key) {
      stations = build(view, roles, always, key);
      floor.replaceChildren(...stations.nodes);
      set(floor, "data-kind", stations.split ? "split" : "joint");
      set(floor, "data-many", stations.many);
      const preps = Math.min(0.7, Math.max(0.3, 1 - lines / roles.length));
      style(floor, "--preps", `${(662 * preps).toFixed()}fr`);
      style(floor, "--platings", `${(662 * (1 - preps)).toFixed()}fr`);
    }
    const seldom = force || clock - numbersAt > 200;
    say(title, view.title);
    set(title, "hidden", !view.title);
    set(root, "aria-label", view.title || "Kitchen");
    const deployment = now.deployed?.deployment || view.log.deployment;
    say(kind, DEPLOYMENTS[deployment] || deployment || "");
    say(status, view.says());
    say(origin, view.simulated ? "simulated" : view.isLive() ? "" : view.stream ? (t < edge ? "replay" : "the run is over") : "a recording");
    set(origin, "hidden", !origin.said);
    set(status, "data-live", view.isRunning());
    if (seldom) {
      numbersAt = clock;
      const figures = numbers(now);
      view.common = figures.gap || 0.25;
      for (const name of ["ttft", "last", "gap", "stall"]) say(values[name], secs(figures[name]));
      say(remark, firstTokenSays(now, roles));
      say(values.pace, figures.pace >= 1000 ? Math.round(figures.pace).toLocaleString("en") : figures.pace ? figures.pace.toFixed(1) : "–");
    }
    for (const station of stations.all) station.draw(now, seldom);
    line.draw(now, edge, stations);
    if ((force || clock - tableAt > 500) && table.root.open) { tableAt = clock; table.draw(now); }
    if (clock - spokenAt > 5000 || (force && !view.clock.playing)) { spokenAt = clock; say(hidden, summary(now)); }
  } };
}

/** The stations for these roles. What does not depend on them stays, so that a slider stays in the hand that drags it. */
function build(view, roles, always, key) {
  const count = {}, totals = {}, groups = { prep: [], plating: [], cook: [], portions: [], hatch: [] }, lanes = [], many = roles.length > CARDS;
  for (const [, role] of roles) totals[STATION_OF[role] || "cook"] = (totals[STATION_OF[role] || "cook"] || 0) + 1;
  for (const [name, role] of roles) {
    const station = STATION_OF[role] || "cook", number = count[station] = (count[station] || 0) + 1;
    if (!many) groups[station].push(workCard(view, station, totals[station] > 1 ? number : 0, name));
    const short = station === "portions" ? "cook" : station, called = short + (totals[station] > 1 ? ` ${number}` : "");
    view.log.names.set(name, called);
    lanes.push({ key: station, worker: name, label: !many ? called : number > 1 ? "" : `${short} × ${totals[station]}` });
  }
  if (many) for (const station of Object.keys(totals)) {
    groups[station].push(tiles(station, lanes.filter((lane) => lane.key === station).map((lane) => lane.worker)));
  }
  const { first, last } = always, split = groups.prep.length > 0, middle = split ? always.middle ||= pass(view) : null;
  if (split) { lanes.splice(totals.prep, 0, { key: "pass", label: "the pass" }); view.watch(middle.belts); }
  const stack = (cards, name) => el("div", { class: `sk-stack sk-${name}` }, ...cards.map((card) => card.root));
  const joint = [...groups.cook, ...groups.portions, ...groups.hatch];
  const between = split ? [stack(groups.prep, "preps"), middle.root, stack(groups.plating, "platings")] : [stack(joint, "joints")];
  const nodes = [first.root, ...between, last.root];
  return { key, split, many, nodes, lanes, all: [first, ...groups.prep, ...(middle ? [middle] : []), ...groups.plating, ...joint, last] };
}

/** Where the first token is made decides in which gap the time on the pass can be seen. */
function firstTokenSays(now, roles) {
  const prep = roles.filter(([, role]) => role === "prefill_only").map(([name]) => name);
  const first = prep.length && [...now.log.orders.values()].find((order) => order.tokens[0])?.tokens[0];
  if (!first) return "";
  return prep.includes(first.worker)
    ? "The first token is made at the prep station: time on the pass shows in the gap before the second token."
    : "The first token is made at the plating line: time on the pass shows in the TTFT.";
}

function legend() {
  const part = (kind, text) => el("span", {}, el("i", { class: `sk-swatch sk-is-${kind}` }), text);
  return el("p", { class: "sk-legend" }, part("prefill", "prep (prefill)"), part("moves", "tray on the pass (KV cache)"),
    part("decode", "plating (decode)"), part("frozen", "frozen: no token for a long time"));
}

function summary(now) {
  const plated = [...now.plates.values()].reduce((sum, here) => sum + here.length, 0);
  const crossing = now.waiting.length + now.trays.length;
  return `At ${secs(now.t, 1)}: ${now.tickets.length} orders waiting, ${now.preps.length} in prep, `
    + `${crossing} at the pass, ${plated} being plated, ${now.served.length} served.`;
}

function orderTable() {
  const body = el("tbody"), rows = new Map();
  const head = ["Order", "State", "Prompt tokens", "TTFT", "Tokens", "Longest gap", "Tray"].map((name) => el("th", { scope: "col" }, name));
  const root = el("details", { class: "sk-details" }, el("summary", {}, "Orders as a table"),
    el("div", { class: "sk-scroll", tabindex: 0, role: "group", "aria-label": "Orders" },
      el("table", {}, el("thead", {}, el("tr", {}, ...head)), body)));
  return { root, draw(now) {
    for (const order of now.log.orders.values()) {
      if (!rows.has(order.request)) {
        const cells = [el("th", { scope: "row" }), ...head.slice(1).map(() => el("td"))];
        rows.set(order.request, { cells, row: el("tr", {}, ...cells) });
        body.append(rows.get(order.request).row);
      }
      const { cells, row } = rows.get(order.request), made = until(order.tokens, now.t), tray = order.trays.filter((one) => one.t0 <= now.t).at(-1);
      set(row, "hidden", order.t0 > now.t);
      let gap = null;
      for (let n = 1; n < made; n += 1) gap = Math.max(gap, order.tokens[n].t - order.tokens[n - 1].t);
      const landed = tray && tray.t1 != null && tray.t1 <= now.t && tray.achieved != null;
      const ttft = made ? secs(order.tokens[0].t - order.t0) : "–", carried = tray ? bytes(tray.nbytes) : "–";
      [`${order.number}`, whereabouts(now.log, order, now.t), `${order.prompt_tokens}`, ttft, `${made} / ${order.max_output_tokens}`,
        secs(gap), landed ? `${carried} in ${secs(tray.seconds)}` : carried].forEach((text, n) => say(cells[n], text));
    }
  } };
}
