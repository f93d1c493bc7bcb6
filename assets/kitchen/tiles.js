// Many workers: a tile each, lit or dark. A thread shows from whom to whom a tray goes.

const TILE_W = 44,
  TILE_H = 46,
  TILE_FEW = 92;

function tilesFloor(now, stations, width) {
  const phone = width < 620,
    split = stations.some(({ station }) => station === "prep"),
    preps = stations.filter(({ station }) => station === "prep"),
    lines = stations.filter(({ station }) => station !== "prep");
  const top = 58,
    head = 34,
    out = [],
    spotOf = new Map(),
    passWide = 168;
  const grid = (mine, x0, x1, y, name, serving) => {
    const few = mine.length <= 8 ? Math.min(TILE_FEW, (x1 - x0) / Math.min(mine.length, 4) - 4) : TILE_W,
      cols = Math.max(1, Math.floor((x1 - x0 + 4) / (few + 4))),
      rows = Math.ceil(mine.length / cols),
      w = Math.min(TILE_FEW * 1.4, (x1 - x0 - (cols - 1) * 4) / cols);
    mine.forEach((one, n) =>
      spotOf.set(one.name, { x: x0 + (n % cols) * (w + 4), y: y + head + 12 + Math.floor(n / cols) * (TILE_H + 4), w }),
    );
    const lit = mine.filter((one) => one.step).length / mine.length,
      kind = mine[0].station === "prep" ? "prep" : "plate";
    return {
      bottom: y + head + 12 + rows * (TILE_H + 4),
      drawn: [
        path(`M${f1(x0 + 10)} ${y}H${f1(x1 - 10)}L${f1(x1)} ${y + 18}V${y + 26}H${f1(x0)}V${y + 18}Z`, { class: "hood" }),
        rect(x0 + 5, y + 26, x1 - x0 - 10, 5, { rx: 2.5, class: `strip ${kind} unlit` }),
        rect(x0 + 5, y + 26, (x1 - x0 - 10) * lit, 5, { rx: 2.5, class: `strip ${kind} lit` }),
        text(
          (x0 + x1) / 2,
          y + 17.5,
          [
            span(`${mine.length} × ${name}`, "bold"),
            widthOf(`${mine.length} x ${name}  ${serving}`, 14, 600) < x1 - x0 - 26 ? span(`  ${serving}`, "light") : null,
          ],
          { class: "t14 mid onhood" },
        ),
      ],
    };
  };
  const kindOf = lines[0]?.station,
    lineName = kindOf === "plating" ? "plating line" : "cook",
    serving = kindOf === "plating" ? "decode" : WORDS[kindOf]?.serving || "";
  let a = null,
    b = null,
    gate = 0,
    by = 0,
    height = 0;
  if (split && !phone) {
    const inner = width - passWide - 24,
      share = clamp(preps.length / stations.length, 0.3, 0.66);
    a = grid(preps, 10, 10 + inner * share, top + 8, "prep station", "prefill");
    b = grid(lines, 14 + inner * share + passWide, width - 10, top + 8, lineName, serving);
    gate = 12 + inner * share + passWide / 2;
    height = Math.max(a.bottom, b.bottom, 300); // room for what the pass says above its trays
    by = top + 8 + (height - top) / 2;
  } else if (split) {
    a = grid(preps, 8, width - 8, top + 8, "prep station", "prefill");
    gate = width / 2;
    by = a.bottom + 46;
    b = grid(lines, 8, width - 8, a.bottom + 96, lineName, serving);
    height = b.bottom;
  } else {
    b = grid(lines, 8, width - 8, top + 8, lineName, serving);
    height = b.bottom;
  }
  out.push(
    topRail(now, width),
    rect(0, top, width, height + 6 - top, { class: "wall" }),
    rect(0, top, width, height + 6 - top, { fill: "url(#sk-tiles)" }),
  );
  if (split) {
    const x0 = phone ? 8 : gate - passWide / 2 + 8,
      x1 = phone ? width - 8 : gate + passWide / 2 - 8,
      it = crossing(now);
    out.push(
      phone
        ? null
        : [
            rect(gate - 8, top, 16, by - 60 - top, { class: "slab" }),
            rect(gate - 8, by + 34, 16, height + 6 - by - 34, { class: "slab" }),
          ],
      beltBed(x0, x1, by, now.link?.bandwidth),
      threads(now, spotOf, gate, by, x0, x1, phone),
      g(
        { class: "trays" },
        // The first lies on the others, and only its number shows: it is the one that the sentence names.
        now.trays
          .slice(0, 3)
          .map(({ order, tray: one }, n) => {
            const share = one.nbytes ? trayBytes(one, now.t) / one.nbytes : 0,
              k = 0.55,
              length = trayLength(cellsOf(now, order.prompt_tokens)) * k;
            return tray(now, gate - length + share * length, by - 4 - n * 6, order, { scale: k, crossed: share, numbered: !n });
          })
          .reverse(),
      ),
      path(`M${f1(gate)} ${by - 28}V${by + 28}`, { class: "gate" }),
      phone
        ? text(8, by - 32, [span("The pass ", "bold"), span(passSays(now, it), "light")], { class: "t13" })
        : [
            text(gate + 12, top + 28, "The pass", { class: "t13 bold" }),
            text(gate + 12, top + 46, carries(now.link), { class: "t13" }),
            it ? text(gate + 12, top + 64, `${now.trays.length} crossing`, { class: "t13 soft" }) : null,
            now.waiting.length ? text(gate + 12, top + 82, `${now.waiting.length} wait`, { class: "t13 strong pass-t" }) : null,
          ],
    );
  }
  out.push(
    a?.drawn,
    b?.drawn,
    g(
      { class: "tiles" },
      stations.map((one) => tile(now, one, spotOf.get(one.name))),
    ),
  );
  const y = height + 6,
    working = preps.filter((one) => one.step).length,
    plating = lines.filter((one) => one.step).length,
    tokens = preps.reduce((sum, one) => sum + one.tokens, 0),
    plated = lines.reduce((sum, one) => sum + one.plates.length, 0);
  out.push(
    rect(0, y, width, 6, { class: "edge" }),
    rect(0, y + 6, width, 62, { class: "front" }),
    split
      ? text(
          14,
          y + 30,
          [
            span("Prepping ", "prep-t strong"),
            span(`at ${working} of ${preps.length}`, "strong"),
            !phone && tokens ? span(`  ${whole(tokens)} tokens in this step`, "light t13") : null,
          ],
          { class: "t14" },
        )
      : null,
    text(
      split && !phone ? gate + passWide / 2 + 4 : 14,
      y + (split && phone ? 52 : 30),
      [span("Plating ", "plate-t strong"), span(`${many(plated, "plate")} at ${plating} of ${lines.length}`, "strong")],
      { class: "t14" },
    ),
    text(width - 12, y + 52, phone ? "" : "number in a tile: its plates", { class: "t13 soft end" }),
  );
  return { width, height: y + 68, drawn: out, buttons: [], link: null };
}
const passSays = (now, it) =>
  `${carries(now.link)}${it ? `, ${now.trays.length} crossing` : ""}${now.waiting.length ? `, ${now.waiting.length} wait` : ""}`;

function threads(now, spotOf, gate, by, x0, x1, phone) {
  const d = now.trays.slice(0, 4).map(({ tray: one }) => {
    const a = spotOf.get(one.source),
      b = spotOf.get(one.target);
    if (!a || !b) return "";
    return phone
      ? `M${f1(a.x + a.w / 2)} ${a.y + TILE_H}L${f1(gate)} ${by - 12}M${f1(gate)} ${by + 12}L${f1(b.x + b.w / 2)} ${b.y}`
      : `M${f1(a.x + a.w)} ${a.y + TILE_H / 2}C${f1(x0 - 10)} ${a.y + TILE_H / 2} ${f1(x0 - 20)} ${by} ${f1(x0)} ${by}M${f1(x1)} ${by}C${f1(x1 + 20)} ${by} ${f1(x1 + 6)} ${b.y + TILE_H / 2} ${f1(b.x)} ${b.y + TILE_H / 2}`;
  });
  return path(d.join(""), { class: "threads" });
}

/** Drawn again only when something on it has changed: of 72 tiles few do from one frame to the next. */
function tile(now, one, spot) {
  const still = one.frozen.concat(one.held),
    shown = {
      done: now.waiting.some(({ tray: waits }) => waits.source === one.name),
      goes: now.trays.some(({ tray: goes }) => goes.source === one.name || goes.target === one.name),
      since: still.length ? age(Math.max(...still.map(({ since }) => since))) : "",
      count: one.station === "prep" ? one.preps.length : one.plates.length,
      full: one.shelf ? one.shelf.used / one.shelf.blocks : 0,
    };
  const key = [spot.x, spot.y, spot.w, one.mode, one.cuts, ...Object.values(shown)].join(" "),
    last = one.worker.tile;
  if (last?.key !== key) one.worker.tile = { key, drawn: tileOf(one, spot, shown) };
  return one.worker.tile.drawn;
}
function tileOf(one, { x, y, w }, { done, goes, since, count, full }) {
  const lit = one.mode === "mixed" ? "both" : one.cuts ? "prep" : one.mode === "decode" ? "plate" : "",
    look = COOKS[one.n % COOKS.length];
  return g(
    { class: "sk-tile", key: one.name, "data-mode": one.mode, "data-frozen": since ? "long" : null, transform: at(x, y) },
    rect(0, 0, w, TILE_H, { rx: 5, class: `tile ${lit || "dark"}` }),
    since ? rect(1, 1, w - 2, TILE_H - 2, { rx: 4, fill: "url(#sk-frost)", class: "tile-ice" }) : null,
    rect(0, 30, w, TILE_H - 30, { class: "tile-top" }),
    one.mode === "down"
      ? path(`M${f1(w / 2 - 7)} 10l14 14m-14 0l14 -14`, { class: "fault" })
      : g(
          { transform: at(14, 30) },
          path("M-8 0C-8 -8 -5 -10 0 -10C5 -10 8 -8 8 0Z", { class: "coat" }),
          path("M-4.5 -13.5a4.6 4.6 0 1 0 9 0z", { fill: look.skin }),
          circle(0, -13, 4.4, { fill: look.skin }),
          path("M-4.6 -15V-20C-7.5 -21 -6.5 -25 -3.5 -24.4C-2 -27 2 -27 3.5 -24.4C6.5 -25 7.5 -21 4.6 -20V-15Z", {
            class: "hat",
          }),
        ),
    one.station === "prep"
      ? done
        ? rect(w / 2 - 12, 34, 24, 8, { rx: 2, class: "tile-tray" })
        : one.cuts
          ? rect(8, 34, w - 16, 8, { rx: 2, class: "tile-board" })
          : null
      : [rect(6, 35, w - 12, 6, { rx: 3, class: "tile-shelf" }), rect(6, 35, (w - 12) * full, 6, { rx: 3, class: "tile-used" })],
    count && one.station !== "prep" ? text(w - 6, 17, `${count}`, { class: "t13 bold end" }) : null,
    goes ? rect(-1.5, -1.5, w + 3, TILE_H + 3, { rx: 6.5, class: "tile-goes" }) : null,
    since && w > 60 ? text(w - 6, 27, since, { class: "t12 bold end stall" }) : null,
  );
}
