// The timeline: what every worker did when.

/** One lane a worker (prep above, plating below, as far as it does both), one for the pass; a playhead over all. */
function timeline(view) {
  const root = sv("svg", { class: "sk-time", role: "img", "aria-label": "What each station did when; the scrub slider below moves through it" });
  const lanes = sv("g"), veil = sv("rect", { class: "sk-veil", y: 0 }), head = sv("path", { class: "sk-head-line" });
  root.append(lanes, veil, head);
  let drawn = "", drawnAt = 0, box = null, tall = 0;
  const seek = (event) => { if (box) view.seek(box.from + (event.offsetX - box.left) / (box.width - box.left) * (box.to - box.from)); };
  root.addEventListener("pointerdown", (event) => { root.setPointerCapture(event.pointerId); seek(event); });
  root.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  return { root, draw(now, edge, stations) {
    const width = view.widths.get(root) || 600, [from, to] = windowOf(now.t, edge), left = 78;
    box = { from, to, left, width: width - 8, x: (t) => left + (t - from) / (to - from) * (width - 8 - left) };
    const key = [from, to, width, now.log.version, stations.key].join();
    if (key !== drawn && (!view.isLive() || performance.now() - drawnAt > 200)) {
      drawn = key;
      drawnAt = performance.now();
      tall = drawLanes(lanes, root, now.log, stations, box, edge);
    }
    const x = Math.max(left, Math.min(width - 8, box.x(now.t))).toFixed(1);
    set(veil, "x", x); set(veil, "width", `${Math.max(0, width - x)}`); set(veil, "height", `${Math.max(0, tall - 14)}`);
    set(head, "d", `M${x} 0V${tall - 14}`);
  } };
}

/** All of a short run; of a longer one, the minute around the playhead. */
function windowOf(t, edge) {
  if (edge <= 90) return [0, Math.max(1, [2, 3, 5, 10, 15, 20, 30, 45, 60, 90].find((end) => end >= edge) || edge)];
  const from = Math.max(0, Math.floor((t - 20) / 20) * 20);
  return [from, from + 60];
}

function drawLanes(lanes, root, log, stations, box, edge) {
  const parts = [];
  let y = 2;
  for (const { label, worker, key } of stations.lanes) {
    const both = key === "cook" || key === "portions", height = key === "pass" ? 16 : stations.many ? (both && stations.lanes.length < 24 ? 6 : 4) : both ? 20 : 12;
    const gap = stations.many && key !== "pass" ? 1 : 7;
    if (label) {
      parts.push(sv("text", { class: "sk-label", x: 0, y: stations.many && key !== "pass" ? y + 9 : y + height / 2 + 4 }));
      parts.at(-1).textContent = label;
    }
    if (!stations.many) parts.push(sv("path", { class: "sk-base", d: `M${box.left} ${y + height + 1.5}H${box.width}` }));
    if (key === "pass") parts.push(...trayBars(log, box, y, edge));
    else if (key === "hatch") parts.push(plateBars(log, box, y, height, edge), stallLine(log, worker, box, y + height + 1.5));
    else parts.push(...stepBars(workerOf(log, worker), box, y, height, both, edge));
    if (worker && key !== "hatch" && !stations.many) parts.push(stallLine(log, worker, box, y + height + 1.5));
    y += height + gap;
  }
  const every = [0.25, 0.5, 1, 2, 5, 10, 15, 30].find((step) => (box.to - box.from) / step <= Math.max(3, box.width / 90)) || 30;
  for (let t = Math.ceil(box.from / every) * every; t <= box.to; t += every) {
    const text = sv("text", { class: "sk-label", x: box.x(t), y: y + 9, "text-anchor": t === box.from ? "start" : t === box.to ? "end" : "middle" });
    text.textContent = `${Number(t.toFixed(2))} s`;
    parts.push(text);
  }
  lanes.replaceChildren(...parts);
  root.setAttribute("height", y + 14);
  root.setAttribute("viewBox", `0 0 ${box.width + 8} ${y + 14}`);
  return y + 14;
}

/** Steps as two paths, prefill and decode; neighbours closer than a pixel are one bar. */
function stepBars(worker, box, y, height, both, edge) {
  const rows = { prefill: [y, both ? height / 2 - 1 : height], decode: [both ? y + height / 2 : y, both ? height / 2 : height] };
  const out = [], bars = { prefill: [], decode: [] };
  for (let n = Math.max(0, until(worker.steps, box.from, "t0") - 1); n < worker.steps.length && worker.steps[n].t0 <= box.to; n += 1) {
    const step = worker.steps[n], x0 = Math.max(box.left, box.x(step.t0)), x1 = Math.max(x0 + 0.5, box.x(Math.min(box.to, step.t1 ?? edge)));
    for (const kind of step.mode === "mixed" ? ["prefill", "decode"] : [step.mode]) {
      const last = bars[kind].at(-1);
      if (last && x0 - last[1] < 0.8 && x1 - x0 < 6) last[1] = x1; else bars[kind].push([x0, x1]);
    }
  }
  for (const kind of ["prefill", "decode"]) {
    const [top, tall] = rows[kind];
    out.push(sv("path", { class: `sk-${kind}`, d: bars[kind].map(([a, b]) => `M${a.toFixed(1)} ${top}H${b.toFixed(1)}v${tall}H${a.toFixed(1)}z`).join("") }));
  }
  for (const up of worker.ups) {
    if (up.t1 == null || up.t1 < box.from || up.t1 > box.to) continue;
    const x = box.x(up.t1), middle = y + height / 2;
    out.push(sv("path", { class: "sk-fault", d: `M${x - 5} ${middle - 5}l10 10M${x + 5} ${middle - 5}l-10 10` }));
  }
  return out;
}

/** When answers were coming out, where no step can be seen. */
function plateBars(log, box, y, height, edge) {
  const spans = [...log.orders.values()].flatMap((order) => order.plates).filter((plate) => plate.t0 < box.to && (plate.t1 ?? edge) > box.from);
  const bar = (plate) => `M${Math.max(box.left, box.x(plate.t0)).toFixed(1)} ${y}H${Math.min(box.width, box.x(plate.t1 ?? edge)).toFixed(1)}v${height}H${Math.max(box.left, box.x(plate.t0)).toFixed(1)}z`;
  return sv("path", { class: "sk-decode", d: spans.map(bar).join("") });
}

/** Red where somebody's plate on this line was plainly frozen. */
function stallLine(log, worker, box, y) {
  const least = LONG_AT * (usualOf(log, Infinity) || Infinity);
  const stalls = log.gaps.filter((gap) => gap.worker === worker && gap.s > least && gap.t > box.from && gap.t - gap.s < box.to);
  const d = stalls.map((gap) => `M${Math.max(box.left, box.x(gap.t - gap.s)).toFixed(1)} ${y}H${Math.min(box.width, box.x(gap.t)).toFixed(1)}`);
  return sv("path", { class: "sk-stall-line", d: d.join("") });
}

function trayBars(log, box, y, edge) {
  let waits = "", moves = "";
  for (const tray of log.trays) {
    const end = tray.t1 ?? edge, row = y + 5.5 * Math.min(2, (tray.slot || 0) % 3);
    if (end < box.from || tray.t0 > box.to) continue;
    const a = Math.max(box.left, box.x(tray.t0)), b = box.x(tray.started ?? end), c = Math.max(b + 1, Math.min(box.width, box.x(end)));
    if (b > a) waits += `M${a.toFixed(1)} ${row + 2}H${b.toFixed(1)}`;
    if (tray.started != null) moves += `M${Math.max(a, b).toFixed(1)} ${row}H${c.toFixed(1)}v4.5H${Math.max(a, b).toFixed(1)}z`;
  }
  return [sv("path", { class: "sk-waits", d: waits }), sv("path", { class: "sk-moves", d: moves })];
}
