// A counter: rooms side by side under one wall, drawn in layers, back to front.

/** Prep only: a board, a cook, and the door or the pass to look at. */
function prepRoom(now, one, x0, x1, geo, { titled, shared }) {
  const cx = (x0 + x1) / 2 + 12 * geo.k,
    board = cx - 38 * geo.k,
    calls = now.tickets.length ? -0.9 : 0,
    { back, k } = geo;
  const light = hood(x0 + 4, x1 - 4, geo, { on: one.cuts, kind: "prep", ...titled });
  const drawn = one.up ? pose(one, geo, cx, { board, hand: board, calls }) : null;
  return {
    ...light,
    body: drawn ? drawn.body : closedBoard(one, (x0 + x1) / 2, geo),
    items: onBoard(now, one, board, back + 20 * k, k),
    over: drawn?.arms,
    cab: cabinet(one, shared?.[0] ?? x0, shared?.[1] ?? x1, geo, { calls: one.preps.length || (now.tickets.length && one.up) ? "" : "no orders" }),
  };
}

const WRITING = 150; // how wide what is written on the wall may be

/** Plates only. */
function plateRoom(now, one, x0, x1, geo, { titled, most, cols = 2, rows = 2, tall = 66, bare = false }) {
  const wide = x1 - x0 > 250,
    { back, front } = geo,
    wants = now.trays.length + now.waiting.length > 0,
    left = x0 + (wide ? 8 : 22),
    right = x1 - 8;
  const spots = places(
      most,
      left,
      right,
      back + (wide ? 26 : 14),
      front - 5,
      wide ? cols : 1,
      wide ? rows : bare ? 3 : Math.max(4, rows),
      wide ? tall : 30,
    ),
    twin = spots.length > 1 && spots[1].y === spots[0].y;
  const hand = twin ? spots[1].x - 6 : wide && cols > 1 ? (x0 + x1) / 2 : spots[0].x - 9,
    body = 46 * geo.cook,
    middle = twin ? hand - 2 : wide ? (x0 + x1) / 2 : (x0 + x1) / 2 + 14,
    cx = Math.max(x0 + body + 2, Math.min(middle, x1 - WRITING - 9 - body)), // what is written stands beside the cook
    beside = Math.min(WRITING, x1 - 9 - cx - body);
  const light = hood(x0 + 4, x1 - 4, geo, { on: one.plating, kind: "plate", spread: 5, ...titled }),
    line = onLine(now, one, spots, hand, back + (wide ? 24 : 14));
  const drawn = one.up ? pose(one, geo, cx, { board: cx, hand, calls: wants ? -0.9 : 0 }) : null,
    oldest = Math.max(0, ...one.frozen.concat(one.held).map((plate) => plate.since)),
    spot = [x1 - 9 - beside / 2, Math.max(back - 92, geo.top + geo.hoodH + 38)];
  const says =
    bare || !one.up || one.plating
      ? null
      : one.frozen.length
        ? writing(...spot, { since: oldest, who: standStill(one.frozen, one.plates.length), why: "" }, beside)
        : one.held.length
          ? slowWriting(...spot, one, oldest, beside)
          : null;
  return {
    ...light,
    says,
    body: drawn ? drawn.body : closedBoard(one, (x0 + x1) / 2, geo),
    items: line.plates,
    over: [line.reach, drawn?.arms],
    cab: cabinet(one, x0, x1, geo, { calls: wants ? "for a tray" : "no plates" }),
  };
}

/** Board on the left, plates on the right, and one pair of hands. */
function cookRoom(now, one, x0, x1, geo, { most, bare = false }) {
  const wide = x1 - x0 > 340,
    cut = Math.min(138, (x1 - x0) * 0.34),
    { back, front, top, hoodH, k } = geo,
    edge = x0 + cut,
    cx = edge + (wide ? 20 : 12),
    board = x0 + cut / 2 + 2;
  const spots = places(
      most,
      edge + (wide ? 14 : 26),
      x1 - 8,
      back + (wide ? 20 : 12),
      front - 5,
      wide ? 2 : 1,
      wide ? 2 : Math.max(bare ? 3 : 4, 0),
      wide ? 66 : 30,
    ),
    twin = spots.length > 1 && spots[1].y === spots[0].y;
  const hand = twin && wide ? spots[1].x - 6 : spots[0].x - 9,
    one0 = bare ? {} : { name: "Prep" },
    one1 = bare ? {} : { name: "Plates" };
  const prep = hood(x0 + 3, edge, geo, { on: one.cuts, kind: "prep", spread: 3, ...one0 }),
    serve = hood(edge + 10, x1 - 4, geo, { on: one.plating, kind: "plate", spread: 4, ...one1 });
  const drawn = one.up ? pose(one, geo, cx, { board, hand, calls: 0 }) : null,
    line = onLine(now, one, spots, hand, back + (wide ? 22 : 12));
  const free = (cx + 42 * geo.cook + x1) / 2,
    oldest = Math.max(0, ...one.frozen.map((plate) => plate.since)),
    slowest = Math.max(0, ...one.held.map((plate) => plate.since));
  const narrow = x1 - cx - 50 * geo.cook;
  const says =
    !one.up || bare
      ? null
      : one.frozen.length && !one.plating
        ? writing(
            free,
            top + hoodH + (back - top - hoodH) * 0.36,
            { since: oldest, who: `${standStill(one.frozen, one.plates.length)}:`, why: handsIn(one) },
            narrow,
            [top + hoodH, back],
          )
        : one.held.length
          ? slowWriting(free, top + hoodH + (back - top - hoodH) * 0.36, one, slowest, narrow)
          : null;
  return {
    wall: [prep.wall, serve.wall],
    pool: [prep.pool, serve.pool],
    hood: [prep.hood, serve.hood],
    says,
    body: drawn ? drawn.body : closedBoard(one, cx + 40, geo),
    items: [onBoard(now, one, board, back + 22 * k, k), line.plates],
    over: [line.reach, drawn?.arms],
    cab: cabinet(one, x0 + 2, x1 - 2, geo, { calls: "" }),
  };
}
/** Of a long step with a hand on the plates: nothing is frozen, but its tokens come late. */
function slowWriting(x, y, one, since, width) {
  const who = broken(
    `${one.held.length === 1 ? `plate ${one.held[0].number} waits` : `${spelled(one.held.length)} plates wait`} for ${one.tokens ? `${whole(one.tokens)} tokens of ${orders(one.inPrep, 2)}` : "one long step"}`,
    13.5,
    width,
  );
  return g(
    { class: "writing" },
    clockFace(x - widthOf(age(since), 26, 700) / 2 - 8, y - 9, 1.4),
    text(x + 14, y, age(since), { class: "t26 bold mid stall" }),
    who.map((line, n) => text(x, y + 21 + n * 17, line, { class: "t13 strong mid stall" })),
  );
}

/** A server seen by its client: shutters are down, answers come through. */
function hatchRoom(now, one, x0, x1, geo, { most }) {
  const { back, top, front } = geo,
    spots = places(
      most,
      x0 + 8,
      x1 - 8,
      back + 14,
      front - 6,
      x1 - x0 > 600 ? 4 : x1 - x0 > 400 ? 3 : x1 - x0 > 250 ? 2 : 1,
      2,
      66,
    );
  let slats = "";
  for (let y = top + 40; y < back - 2; y += 13) slats += `M${x0 + 12} ${y}H${x1 - 12}`;
  const late = one.held.length ? Math.max(...one.held.map((plate) => plate.since)) : 0,
    line = onLine(now, { ...one, plating: false, frozen: [] }, spots, x0, back);
  return {
    hood: [
      rect(x0 + 6, top, x1 - x0 - 12, 26, { rx: 4, class: "hood" }),
      text(
        (x0 + x1) / 2,
        top + 17.5,
        [
          span("A server, seen by its client", "bold"),
          x1 - x0 > 420 ? span("  who preps and who plates cannot be seen", "light") : null,
        ],
        { class: "t14 mid onhood" },
      ),
      rect(x0 + 10, top + 26, x1 - x0 - 20, back - top - 26, { class: "shutter" }),
      path(slats, { class: "slats" }),
    ],
    says: late
      ? g(
          {},
          rect((x0 + x1) / 2 - 130, top + 52, 260, 62, { rx: 8, class: "note" }),
          writing(
            (x0 + x1) / 2,
            top + 84,
            {
              since: late,
              who: `${many(one.held.length, "answer")} ${one.held.length === 1 ? "stands" : "stand"} still`,
              why: "",
            },
            240,
          ),
        )
      : null,
    items: line.plates,
    cab: cabinet(one, x0, x1, geo),
  };
}
/** A room, and where its worker can be killed. */
const placed = (room) => (now, one, x0, x1, geo, how) => {
  if (!how.bare) now.spots?.push({ worker: one.name, x: x1 - 32, y: geo.top + 1 });
  return room(now, one, x0, x1, geo, how);
};
const ROOMS = {
  prep: placed(prepRoom),
  plating: placed(plateRoom),
  cook: placed(cookRoom),
  portions: placed(cookRoom),
  hatch: hatchRoom,
};

/** `rooms`: layers as above; `slabs`: walls between them, [x, to what y]; `belt`, `door`, `served`: what a wide counter has more. */
function counter(
  width,
  geo,
  rooms,
  { slabs = [], belt = null, walls = [], extra = [], cabs = [], above = [], bare = false } = {},
) {
  const { top, back, front, floor } = geo,
    layer = (name) =>
      g(
        {},
        rooms.map((room) => room[name]),
      );
  return [
    rect(0, top, width, back - top, { class: "wall" }),
    rect(0, top, width, back - top, { fill: "url(#sk-tiles)" }),
    layer("wall"),
    walls,
    layer("hood"),
    layer("says"),
    layer("body"),
    rect(0, back, width, front - back, { class: "top" }),
    layer("pool"),
    slabs.map(([x, to, w = 14]) => [
      rect(x - w / 2, top, w, to - top, { class: "slab" }),
      rect(x + w / 2 - 4, top, 4, to - top, { class: "slab2" }),
    ]),
    belt,
    bare ? null : [rect(0, front, width, 6, { class: "edge" }), rect(0, front + 6, width, floor - front - 6, { class: "front" })],
    layer("items"),
    extra,
    bare ? null : [layer("cab"), cabs],
    g(
      {},
      rooms.map((room) => room.over),
    ),
    above,
  ];
}
