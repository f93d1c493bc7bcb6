// A phone's kitchen: one counter below the other.

/** One counter below the other; trays go down a shaft between them. */
function stacked(now, stations, width, most, split) {
  const out = [topRail(now, width)],
    order = [...stations].sort((a, b) => (a.station === "prep" ? 0 : 1) - (b.station === "prep" ? 0 : 1));
  let y = 58,
    link = null;
  order.forEach((one, n) => {
    if (split && one.station !== "prep" && order[n - 1]?.station === "prep") {
      const it = shaft(now, width, y);
      out.push(it.drawn);
      link = it.link;
      y += it.height;
    }
    const cookFits = one.station === "cook" || one.station === "portions",
      lines = Math.min(12, Math.max(cookFits || one.station === "plating" ? 3 : 2, one.station === "prep" ? 0 : most)),
      deep = one.station === "prep" ? 62 : lines * 32 + 16;
    const geo = {
      top: y,
      back: y + 134,
      front: y + 134 + deep,
      floor: y + 134 + deep + 62,
      hoodH: 26,
      cook: 0.68,
      k: 0.7,
      kills: now.kills,
    };
    const titled =
      one.of > 1
        ? { name: capital(one.called), serving: WORDS[one.station].serving }
        : { name: WORDS[one.station].name, serving: WORDS[one.station].serving };
    out.push(
      counter(width, geo, [ROOMS[one.station](now, one, 4, width - 4, geo, { titled, most, cols: 1, rows: lines, tall: 30 })]),
    );
    y = geo.floor;
  });
  return { width, height: y, drawn: out, link, buttons: [] };
}

function shaft(now, width, y) {
  const tall = 140,
    gy = y + tall / 2,
    sx = width - 96,
    thick = beltPx(now.link?.bandwidth) * 0.8,
    k = 0.5,
    it = crossing(now),
    waits = now.waiting.map(({ order }) => order.number),
    out = [];
  const down = (top, order, crossed) => {
    const length = trayLength(cellsOf(now, order.prompt_tokens)) * k;
    return [
      g({ transform: `translate(${f1(sx + (TRAY_H * k) / 2)} ${f1(top)}) rotate(90)` }, trayOnly(now, order, k, crossed)),
      chip(sx + 34, clamp(top + length / 2, y + 14, y + tall - 14), order.number, isGiant(now, order)),
    ];
  };
  let top = gy - 4;
  for (const { order, tray: one } of now.trays.slice(0, 1)) {
    const length = trayLength(cellsOf(now, order.prompt_tokens)) * k,
      share = one.nbytes ? trayBytes(one, now.t) / one.nbytes : 0;
    top = gy - length + share * length;
    out.push(down(top, order, share));
    top -= 5;
  }
  let chevrons = "";
  for (let c = y + 14; c < y + tall - 8; c += 24) chevrons += `M${sx - 5} ${c}l5 5l5 -5`;
  const says = heldByTrays(now),
    rows = [
      text(12, y + 24, [span("The pass", "bold"), span("  KV handoff", "t13 light")], { class: "t14 oninslab" }),
      fitted(
        12,
        y + 44,
        sx - 66,
        [now.link?.latency ? `  + ${secs(now.link.latency)} latency` : "", ""].map((late) => [
          [carries(now.link), "strong"],
          [late, "t13 light"],
        ]),
        { class: "t14 oninslab" },
      ),
      it
        ? fitted(
            12,
            gy + 24,
            sx - 78,
            [` of tray ${it.number} across,`, " across,"].map((what) => [
              [bytes(it.done), "t17 strong"],
              [what, "t13"],
            ]),
            { class: "t13 oninslab" },
          )
        : text(12, gy + 24, passRests(now), { class: "t13 oninslab" }),
      it ? text(12, gy + 41, `${bytes(it.nbytes - it.done)} to go`, { class: "t13 oninslab" }) : null,
      says.length
        ? g(
            { class: "writing" },
            rect(
              8,
              gy + 46,
              widthOf(
                `${age(says[0].since)}: ${listed(
                  says.map(({ number }) => number),
                  5,
                )} waits`,
                13,
                700,
              ) + 32,
              20,
              { rx: 5, class: "back" },
            ),
            snow(20, gy + 55, 0.9),
            text(
              32,
              gy + 60,
              `${age(says[0].since)}: ${listed(
                says.map(({ number }) => number),
                5,
              )} wait${says.length > 1 ? "" : "s"}`,
              { class: "t13 bold stall" },
            ),
          )
        : waits.length
          ? text(12, gy + 59, `${listed(waits, 5)} wait${waits.length > 1 ? "" : "s"}${now.trays.length === 1 ? " behind it" : ""}`, { class: "t13 oninslab" })
          : null,
    ];
  return {
    height: tall,
    link: {
      x: 12,
      y: y + 50,
      width: Math.min(150, width - 200),
      share: shareOf(now.link),
      bandwidth: now.link?.bandwidth,
      bare: true,
    },
    drawn: [
      rect(0, y, width, tall, { class: "slab" }),
      rect(sx - 50, y, 100, tall, { class: "opening" }),
      rect(sx - thick / 2, y - 2, thick, tall + 4, { class: "belt" }),
      path(chevrons, { class: "chevrons" }),
      g({ class: "trays" }, out),
      rect(0, gy - 3, sx - 50, 6, { class: "slab2" }),
      rect(sx + 50, gy - 3, width - sx - 50, 6, { class: "slab2" }),
      path(`M${sx - 50} ${gy}H${sx + 50}`, { class: "gate" }),
      rows,
    ],
  };
}
function trayOnly(now, order, k, crossed) {
  const one = tray({ ...now, stands: null }, 0, 0, order, { scale: k, crossed });
  return { ...one, key: undefined, kids: one.kids.slice(0, 1) };
}
