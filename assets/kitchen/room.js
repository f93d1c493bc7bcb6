// One worker's place on a counter: hood and light, cook, board, plates, and the cabinet below that says what is done.
// A room gives its layers, back to front; counter.js puts the layers of all rooms together.

/** An extractor hood with the station's name, and a strip light that burns while a step of its kind runs. */
const hood = (x0, x1, geo, how) =>
  kept(`hood ${x0} ${x1} ${geo.top} ${geo.back} ${geo.front} ${geo.kills} ${JSON.stringify(how)}`, () =>
    hoodOf(x0, x1, geo, how),
  );
function hoodOf(x0, x1, geo, { on, kind, name = "", serving = "", spread = 8 }) {
  const { top, back, front, hoodH } = geo,
    y = top + hoodH,
    deep = ((front - back) / (back - y)) * (spread + 6),
    lit = on ? "lit" : "unlit",
    wide = widthOf(name, 14, 700) + widthOf(serving, 14) < x1 - x0 - (geo.kills ? 88 : 34);
  return {
    wall: path(`M${f1(x0 + 6)} ${y + 3}L${f1(x1 - 6)} ${y + 3}L${f1(x1 + spread)} ${back}L${f1(x0 - spread)} ${back}Z`, {
      class: `beam ${kind} ${lit}`,
    }),
    pool: path(
      `M${f1(x0 - spread)} ${back}L${f1(x1 + spread)} ${back}L${f1(x1 + spread + deep)} ${front}L${f1(x0 - spread - deep)} ${front}Z`,
      { class: `pool ${kind} ${lit}` },
    ),
    hood: [
      path(`M${f1(x0 + 12)} ${top}H${f1(x1 - 12)}L${f1(x1)} ${y - 8}V${y}H${f1(x0)}V${y - 8}Z`, { class: "hood" }),
      rect(x0 + 6, y, x1 - x0 - 12, 5, { rx: 2.5, class: `strip ${kind} ${lit}` }),
      name
        ? text(
            (x0 + x1) / 2,
            top + hoodH / 2 + 4.5,
            [span(name, "bold"), serving && wide ? span(`  ${serving}`, "light") : null],
            { class: "t14 mid onhood" },
          )
        : null,
    ],
  };
}

const REST = (x, y, k) => [
  { x: x - 30 * k, y: y + 6 },
  { x: x + 30 * k, y: y + 6 },
];
const HIPS = (x, y, k) => [
  { x: x - 20 * k, y: y - 22 * k, bend: 1 },
  { x: x + 20 * k, y: y - 22 * k, bend: -1 },
];
const scarfOf = (one) => (one.station === "prep" ? ["prep"] : one.station === "plating" ? ["plate"] : ["prep", "plate"]);

function pose(one, geo, cx, { board, hand, calls }) {
  const { back, cook: k } = geo,
    rest = { x: cx + 24 * k, y: back + 5 },
    spot = { n: one.n, x: cx, y: back, scale: k, scarf: scarfOf(one), works: one.cuts };
  if (one.mode === "mixed") {
    const free = !one.plating; // its step is long: no hand on plates that wait for it
    return cook({
      ...spot,
      look: free ? -0.6 : 0,
      down: true,
      lean: free ? -0.5 : 0,
      hands: [
        { x: board + 22 * geo.k, y: back + 20 * geo.k, tool: "knife", bend: 1 },
        free ? rest : { x: hand, y: back + 6, tool: "tweezers", bend: -1 },
      ],
    });
  }
  if (one.cuts)
    return cook({
      ...spot,
      look: board < cx - 20 ? -1 : -0.5,
      down: true,
      lean: board < cx - 20 ? -0.9 : -0.3,
      hands: [
        { x: board - (geo.k < 1 ? 4 : 26) * geo.k, y: back + 26 * geo.k, bend: 1 },
        { x: board + (geo.k < 1 ? 36 : 28) * geo.k, y: back + 14 * geo.k, tool: "knife", bend: board < cx - 20 ? 1 : -1 },
      ],
    });
  if (one.plating) {
    const aside = Math.abs(hand - cx) > 20,
      left = hand < cx - 20;
    return cook({
      ...spot,
      look: aside ? (left ? -0.8 : 0.8) : 0.2,
      down: true,
      lean: aside ? (left ? -0.5 : 0.6) : 0,
      hands: left
        ? [
            { x: hand, y: back + 6, tool: "tweezers", bend: 1 },
            { x: cx + 24 * k, y: back + 5 },
          ]
        : [
            { x: cx - 22 * k, y: back + 6, bend: 1 },
            { x: hand, y: back + 6, tool: "tweezers", bend: aside ? -1 : -1 },
          ],
    });
  }
  if (one.mode === "decode") return cook({ ...spot, down: true, hands: REST(cx, back, k) }); // a long step: no hand on what waits for it
  if (calls) return cook({ ...spot, look: calls, hands: REST(cx, back, k) });
  return cook({ ...spot, hands: HIPS(cx, back, k) });
}

/** A closed station: no cook, no light, and a board that says why. */
function closedBoard(one, cx, geo) {
  const { top, hoodH, back } = geo,
    y = top + hoodH + 26,
    says = one.why || "not up yet",
    lines = broken(says, 12.5, 150),
    tall = 34 + lines.length * 16;
  return g(
    { class: "closed" },
    path(`M${f1(cx - 50)} ${y}L${f1(cx)} ${y - 16}L${f1(cx + 50)} ${y}`, { class: "string" }),
    rect(cx - 84, y, 168, Math.min(tall, back - y - 4), { rx: 6, class: "board-closed" }),
    text(cx, y + 22, "Closed", { class: "t16 bold mid onchina" }),
    lines.map((line, n) => text(cx, y + 40 + n * 16, line, { class: "t13 mid onchina" })),
  );
}
function broken(says, size, width) {
  const lines = [""];
  for (const word of says.split(" ")) {
    const next = `${lines.at(-1)} ${word}`.trim();
    if (widthOf(next, size) > width && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = next;
  }
  return lines.slice(0, 4);
}

/** Red on the dark wall: for how long, who, and why. One clock for all that froze together. */
function writing(x, y, { since, who, why }, width = 190, [high, low] = [0, Infinity]) {
  const says = age(since),
    whom = broken(who, 13.5, width),
    both = [...whom, ...broken(why, 13.5, width)],
    fits = (lines) => low - 27 - (lines.length - 1) * 17,
    all = fits(both) < high + 25 ? whom : both; // the sentence above says why, too
  y = Math.min(y, fits(all));
  return g(
    { class: "writing" },
    snow(x - widthOf(says, 26, 700) / 2 - 8, y - 9, 1.25),
    text(x + 14, y, says, { class: "t26 bold mid stall" }),
    all.map((line, n) => text(x, y + 21 + n * 17, line, { class: "t13 strong mid stall" })),
  );
}
const standStill = (frozen, among) =>
  frozen.length === 1
    ? `plate ${frozen[0].number} stands still`
    : frozen.length === among && among > 2
      ? `all ${spelled(among)} plates stand still`
      : `${spelled(frozen.length)} plates stand still`;
const handsIn = (one) =>
  one.inPrep.length ? `both hands are in ${orders(one.inPrep, 3)}` : `nobody works on ${one.frozen.length === 1 ? "it" : "them"}`;

/** Ten places for the last three seconds: a flame a tenth of them in prefill, a stroke a tenth in decode, both in mixed steps. */
function pips(x, y, { prefill, decode, mixed }, n = 10) {
  const flames = Math.round(prefill * n),
    both = Math.round((prefill + mixed) * n) - flames,
    strokes = Math.min(n, Math.round((prefill + mixed + decode) * n)) - flames - both;
  return kept(`pips ${x} ${y} ${flames} ${both} ${strokes}`, () => pipsOf(x, y, flames, both, strokes, n));
}
function pipsOf(x, y, flames, both, strokes, n, pitch = 10) {
  let hot = "",
    drawn = "",
    idle = "";
  for (let i = 0; i < n; i += 1) {
    const cx = x + 5 + i * pitch,
      lit = i < flames ? "f" : i < flames + both ? "b" : i < flames + both + strokes ? "s" : "";
    if (lit === "f")
      hot += `M${f1(cx - 4)} ${y}C${f1(cx - 5)} ${y - 5} ${f1(cx - 1)} ${y - 7} ${f1(cx)} ${y - 13}C${f1(cx + 2)} ${y - 9} ${f1(cx + 5)} ${y - 6} ${f1(cx + 4)} ${y}Z`;
    if (lit === "b")
      hot += `M${f1(cx - 4)} ${y}C${f1(cx - 5)} ${y - 5} ${f1(cx - 2)} ${y - 7} ${f1(cx - 1.5)} ${y - 13}C${f1(cx)} ${y - 9} ${f1(cx + 1)} ${y - 6} ${f1(cx)} ${y}Z`;
    if (lit === "b" || lit === "s") drawn += `M${f1(cx + (lit === "b" ? 1.5 : -2))} ${y}l4 -13`;
    if (!lit) idle += `M${f1(cx - 2.5)} ${y - 2}h5`;
  }
  return [path(hot, { class: "flames" }), path(drawn, { class: "strokes" }), path(idle, { class: "idle" })];
}

/** The cabinet's two lines: what is done now, and how busy the last three seconds were. */
function cabinet(one, x0, x1, geo, { calls = "" } = {}) {
  const y1 = geo.front + 30,
    y2 = geo.front + 51,
    left = x0 + 9,
    right = x1 - 9,
    room = x1 - x0,
    hatch = one.station === "hatch",
    load = `${Math.round(100 * one.busy)} %`,
    over = one.t < WINDOW_S ? "so far" : `of the last ${WINDOW_S} s`;
  const clock =
      one.mode === "decode" ? (one.stroke && room > 230 ? `${secs(one.stroke)} a step` : "") : one.step ? age(one.since) : "",
    free = right - left - (clock ? widthOf(clock, 14, 600) + 8 : 0);
  const who = one.of > 1 && !hatch ? [[[`${capital(one.called)}  `, "soft"]], []] : [[]];
  const wordings = doing(one, calls).flatMap((parts) => who.map((named) => [...named, ...parts]));
  const full = one.shelf ? `KV cache ${Math.round((100 * one.shelf.used) / one.shelf.blocks)} % full` : "",
    early = !one.step && one.t < WINDOW_S, // hands that are free, and busy all the time so far, say nothing
    busy = early ? "" : [`busy ${load} ${over}`, `${load} busy`, load].find((says) => left + 106 + widthOf(says, 13) < right) || "",
    after = left + 106 + widthOf(busy, 13) + 14;
  return [
    rect(x0, geo.front + 12, room, geo.floor - geo.front - 18, { rx: 4, class: "cab" }),
    fitted(left, y1, free, wordings),
    text(right, y1, clock, { class: "t14 strong end" }),
    hatch
      ? text(left, y2, `${many(one.plates.length, "answer")} under way`, { class: "t13 soft" })
      : [
          pips(left - 1, y2 + 1, one.shares),
          text(left + 106, y2, busy, { class: "t13 soft" }),
          full && right - widthOf(full, 13) > after ? text(right, y2, full, { class: "t13 soft end" }) : null,
        ],
  ];
}

/** What is done now, in more words and in fewer. */
function doing(one, calls) {
  const count = one.step?.plates || 0,
    taken = one.inPrep.length > 1 ? `orders ${listed(one.inPrep, 3)}` : `order ${one.inPrep[0]}`,
    few = listed(one.inPrep, 3),
    tokens = whole(one.tokens);
  if (one.mode === "down") return [[["Closed", "stall bold"]]];
  if (one.mode === "prefill")
    return [
      [
        ["Prepping ", "prep-t strong"],
        [taken, "strong"],
        [`  ${tokens} tokens`, "t13 light"],
      ],
      [
        ["Prepping ", "prep-t strong"],
        [taken, "strong"],
      ],
      [
        ["Prepping ", "prep-t strong"],
        [few, "strong"],
      ],
      [["Prep", "prep-t strong"]],
    ];
  if (one.mode === "mixed")
    return [
      ...[`${tokens} tokens of ${taken}`, taken].map((what) => [
        ["Plating ", "plate-t strong"],
        [`${many(count, "plate")}, `, "strong"],
        ["prepping ", "prep-t strong"],
        [what, "strong"],
      ]),
      [
        [`${many(count, "plate")}, `, "plate-t strong"],
        ["prepping ", "prep-t strong"],
        [taken, "strong"],
      ],
      [
        [many(count, "plate"), "plate-t strong"],
        [` + ${taken}`, "prep-t strong"],
      ],
      [["Plating + prep", "plate-t strong"]],
    ];
  if (one.mode === "decode")
    return [
      [
        ["Plating ", "plate-t strong"],
        [many(count, "plate"), "strong"],
        ["  one token each, every step", "t13 light"],
      ],
      [
        ["Plating ", "plate-t strong"],
        [many(count, "plate"), "strong"],
      ],
      [[many(count, "plate"), "plate-t strong"]],
    ];
  const idle =
    one.station === "hatch" ? "Hands unseen" : calls && calls !== "no plates" && calls !== "no orders" ? "Waits" : "Hands free";
  return [
    [
      [idle, "strong"],
      [calls ? `  ${calls}` : "", "t13 light"],
    ],
    [[idle, "strong"]],
  ];
}

function onBoard(now, one, x, y, k, most = 3) {
  const few = one.preps.slice(0, most),
    n = few.length;
  return [
    few.map((item, i) => {
      const length = trayLength(cellsOf(now, item.tokens)) * k;
      return tray(now, x - length / 2 + (i - (n - 1) / 2) * 42, y, item.order, {
        tokens: item.tokens,
        made: item.made,
        next: item.next,
        scale: k,
        chipAt: n > 1 ? 0.5 : 0.1,
        below: n > 1,
      });
    }),
    one.preps.length > most
      ? text(x, y + TRAY_H * k + 36, `+${one.preps.length - most} more`, { class: "t13 strong mid" })
      : null,
  ];
}

const emptyPlace = (spot, n) =>
  g(
    { class: "place", key: `place ${n}` },
    circle(spot.x + spot.dish, spot.y + spot.h / 2, spot.dish, {}),
    spot.w > 2 * spot.dish + 26 ? rect(spot.x + spot.dish, spot.y + 4, spot.w - spot.dish, spot.h - 8, { rx: 6 }) : null,
  );

/** The plates of a room, and the line from the hand to those that its step serves. */
function onLine(now, one, spots, hand, y0) {
  const { plates: all, frozen, held } = one,
    oldest = Math.max(0, ...frozen.map((plate) => plate.since)),
    by = spots.length,
    shown = all.filter((plate) => plate.slot < by);
  const waits = held.length && one.inPrep.length ? `waits for ${whole(one.tokens)} tokens of ${listed(one.inPrep, 2)}` : "";
  const bySlot = new Array(by);
  for (const plate of shown) bySlot[plate.slot] = plate;
  const drawn = spots.map((spot, n) => {
    const here = bySlot[n];
    if (!here) return kept(`${n} of ${spots.key}`, () => emptyPlace(spot, n));
    const alone = here.still === "long" && (frozen.length === 1 || oldest - here.since > 0.15),
      slow = here.still === "held";
    return plate(now, spot, here, {
      age: alone || (slow && spot.h <= 38) ? age(here.since) : "",
      because: slow && one.station !== "hatch" ? (spot.w > 170 ? waits : age(here.since)) : "",
    });
  });
  const served = one.plating ? shown.filter((plate) => plate.still !== "long" && plate.still !== "held") : [];
  const line = served.length
    ? reach(hand, y0, spots, served, false)
    : frozen.length && !one.plating
      ? reach(hand, y0 - 10, spots, frozen, true)
      : null;
  return {
    plates: [
      line?.line,
      g({ class: "rims" }, rims(spots, shown)),
      g({ class: "plates" }, drawn),
      all.length > shown.length && now.spots
        ? text(spots[0].x, spots.at(-1).y + spots.at(-1).h + 14, `+${all.length - shown.length} more plates`, {
            class: "t13 strong",
          })
        : null,
    ],
    reach: line?.ends,
  };
}
