// Which counters there are: one for a wide page, one with a rail across the top for half a page, one below the other on a phone.
// A floor is { width, height, drawn, link, buttons }: `link` is where the belt's slider lies, `buttons` what can be done where.

const WIDE = { top: 0, back: 178, front: 354, floor: 416, hoodH: 26, cook: 0.93, k: 1 };
const HALF = { top: 58, back: 208, front: 360, floor: 422, hoodH: 26, cook: 0.8, k: 0.7 };
const NEEDS = { prep: 150, plating: 160, cook: 250, portions: 250, hatch: 250 },
  PASS_HALF = 116,
  PASS_WIDE = 168;

function floorOf(now, stations, width) {
  const most = Math.max(3, ...stations.filter(({ station }) => station !== "prep").map(({ name }) => mostPlates(now, [name])));
  const split = stations.some(({ station }) => station === "prep"),
    wide = width >= 860;
  const needs =
    stations.reduce((sum, { station }) => sum + NEEDS[station] * (wide ? 1.2 : 1), 0) +
    (split ? (wide ? PASS_WIDE : PASS_HALF) : 0);
  if (width < 430 || needs > width - (wide ? 250 : 0)) return stacked(now, stations, width, most, split);
  return (wide ? wideFloor : halfFloor)(now, stations, width, most, split);
}

/** The width that rooms share, dealt out by what each needs. */
function deal(stations, x0, x1, gap) {
  const total = stations.reduce((sum, { station }) => sum + NEEDS[station], 0),
    free = x1 - x0 - gap * (stations.length - 1);
  let x = x0;
  return stations.map(({ station }) => {
    const wide = (free * NEEDS[station]) / total,
      spot = [x, x + wide];
    x += wide + gap;
    return spot;
  });
}
const titledFor = (one) => ({
  titled:
    one.of > 1
      ? { name: capital(one.called), serving: "" }
      : { name: WORDS[one.station].name, serving: WORDS[one.station].serving },
});

function wideFloor(now, stations, width, most, split) {
  const geo = { ...WIDE, kills: now.kills },
    { back, front, floor } = geo,
    servedX = width - 106,
    doorX = split ? (width > 1150 ? 236 : 190) : 152;
  const preps = stations.filter(({ station }) => station === "prep"),
    rest = stations.filter(({ station }) => station !== "prep");
  const inner = servedX - 6 - doorX,
    wanted = Math.max(preps.length * 168, Math.min(276, inner * 0.3) * Math.min(2, preps.length)),
    left = inner - 14 - PASS_WIDE - 1.25 * NEEDS.plating * rest.length, // so that the plating lines have room, too
    prepsWide = split ? Math.min(wanted, Math.max(preps.length * NEEDS.prep, left)) : 0;
  const spotsA = deal(preps, doorX + 6, doorX + prepsWide, 8),
    gate = doorX + prepsWide + 26,
    spotsB = deal(rest, split ? gate + PASS_WIDE - 12 : doorX + 6, servedX - 8, 14);
  const rooms = [
    ...preps.map((one, n) => ROOMS.prep(now, one, ...spotsA[n], geo, { ...titledFor(one), shared: spotsA[n] })),
    ...rest.map((one, n) => ROOMS[one.station](now, one, ...spotsB[n], geo, { ...titledFor(one), most })),
  ];
  const by = 308,
    ly = by - TRAY_H / 2 - 30;
  const walls = [
    path(`M${f1(servedX + 20)} ${back}V92a33 33 0 0 1 66 0V${back}z`, { class: "opening" }),
    text(servedX + 53, 47, "Served", { class: "t14 bold mid" }),
    text(servedX + 53, 124, `${now.served.length}`, { class: "t24 bold mid" }),
    text(servedX + 53, 144, `of ${now.log.orders.size}`, { class: "t13 mid" }),
    doorRail(now, 8, doorX - 8, 20, back),
  ];
  const slabs = split ? [[gate, ly, 18]] : spotsB.slice(1).map(([x]) => [x - 7, front, 10]);
  const pass = split ? passWide(now, gate, by, ly, geo, Math.max(150, doorX - 40), spotsB[0][0] - 14) : null;
  const cabs = [
    cab(
      6,
      doorX - 2,
      geo,
      [
        [
          ["Door  ", "bold"],
          [now.tickets.length ? `${now.tickets.length} waiting` : "nobody waits", "t13 light"],
        ],
        [["Door", "bold"]],
      ],
      now.tickets.length
        ? [`longest ${age(now.t - Math.min(...now.tickets.map(({ ticket }) => ticket.t0)))}`]
        : ["orders hang on the rail", "no order waits", ""],
    ),
    now.served.length // until then it has nothing to head
      ? cab(
          servedX - 2,
          width - 6,
          geo,
          [
            [
              ["TTFT", "strong"],
              [" of the", "t13 soft"],
            ],
            [["TTFT", "strong"]],
          ],
          ["last served", ""],
        )
      : null,
    pass?.cab,
  ];
  if (split)
    for (const [n, one] of preps.entries())
      rooms[n].cab = cabinet(one, spotsA[n][0] - (n ? 2 : 2), n === preps.length - 1 ? gate - 20 : spotsA[n][1] + 2, geo, {
        calls: one.preps.length || now.tickets.length ? "" : "no orders",
      });
  return {
    width,
    height: floor,
    drawn: counter(width, geo, rooms, {
      slabs,
      belt: pass?.belt,
      walls,
      cabs,
      extra: [pass?.trays, servedPile(now, servedX + 4, back + 14, 4)],
      above: pass?.says,
    }),
    link: pass?.link,
    buttons: rooms.flatMap((room) => room.buttons || []),
    doorX,
  };
}

function cab(x0, x1, geo, says, below) {
  const room = x1 - x0 - 16;
  return [
    rect(x0, geo.front + 12, x1 - x0, geo.floor - geo.front - 18, { rx: 4, class: "cab" }),
    fitted(x0 + 9, geo.front + 30, room, says),
    fitted(
      x0 + 9,
      geo.front + 51,
      room,
      below.map((one) => [[one, "t13 soft"]]),
    ),
  ];
}

function servedPile(now, x, y, most, width = 98) {
  return g(
    { class: "pile" },
    now.served.slice(0, most).map((order, n) =>
      g(
        {
          key: order.request,
          "data-stands": stands(now, order, "served", x, y + n * 38) && order.request,
          transform: at(x, y + n * 38),
        },
        rect(15, 2, width - 15, 26, { rx: 6, class: "slip" }),
        circle(16, 18, 15, { class: "cast" }),
        circle(15, 15, 15, { class: "china" }),
        circle(15, 15, 12.5, { class: "rim-done" }),
        chip(15, 15, order.number),
        text(
          width - 7,
          19.5,
          order.reason === "cancelled" ? "gone" : secs(order.tokens[0] ? order.tokens[0].t - order.t0 : null),
          { class: "t13 end onchina" },
        ),
      ),
    ),
  );
}

/** The belt through the wall, what is on it, and what it says beside the gate. */
function passParts(now, gate, by, ly, geo, x0, x1) {
  const half = geo.k < 1,
    k = geo.k,
    th = TRAY_H * k,
    w = half ? 24 : 26,
    bandwidth = now.link?.bandwidth;
  return {
    belt: beltBed(x0, x1, by, bandwidth),
    trays: [
      trays(now, gate, by, k, x0),
      rect(gate - w / 2, ly - 2, w, 6, { rx: 2, class: "rail" }),
      path(`M${f1(gate)} ${ly + 8}V${f1(by + th / 2 + 7)}`, { class: "gate" }),
    ],
  };
}

function heldWriting(now, x, y, width) {
  const held = heldByTrays(now),
    first = now.trays[0] || now.waiting[0];
  if (!held.length || !first) return null;
  const own = held.length === 1 && held[0].order === first.order,
    who = listed(
      held.map(({ number }) => number),
      5,
    );
  const why = `wait${held.length > 1 ? "" : "s"} for ${own ? "its tray" : `tray ${first.order.number}`}`;
  return writing(x, y, own ? { since: held[0].since, who: `${who} ${why}`, why: "" } : { since: held[0].since, who, why }, width);
}

function passWide(now, gate, by, ly, geo, x0, x1) {
  const { back, front } = geo,
    base = passParts(now, gate, by, ly, geo, x0, x1),
    x = gate + 18,
    it = crossing(now),
    left = gate - 18,
    right = x1 + 8,
    y1 = front + 30,
    y2 = front + 51;
  const says = [
    text(x, back + 22, [span("The pass", "bold"), span("  KV handoff", "t13 soft")], { class: "t14" }),
    it
      ? [
          text(x, back + 44, [span(bytes(it.done), "t17 strong"), span(" across", "t13 soft")]),
          text(x, back + 61, `${bytes(it.nbytes - it.done)} to go`, { class: "t13 soft" }),
        ]
      : text(x, back + 43, passRests(now), { class: "t13 soft" }),
    now.link?.latency ? text(x, back + (it ? 78 : 60), `+ ${secs(now.link.latency)} latency`, { class: "t13 soft" }) : null,
  ];
  const sx = left + 10,
    sw = right - left - 20,
    bandwidth = now.link?.bandwidth,
    share = shareOf(now.link),
    waits = now.waiting.length;
  const cabs = [
    rect(left, front + 12, right - left, geo.floor - front - 18, { rx: 4, class: "cab" }),
    fitted(
      left + 9,
      y1,
      right - left - 24 - widthOf(carries(now.link), 14, 650),
      waits
        ? [
            [
              [`${waits} wait${waits > 1 ? "" : "s"}`, "pass-t strong"],
              [it ? ` behind ${it.number}` : "", "strong"],
            ],
            [[`${waits} wait${waits > 1 ? "" : "s"}`, "pass-t strong"]],
          ]
        : [
            [
              [it ? "Carrying " : "Free", "pass-t strong"],
              [it ? `tray ${it.number}` : "", "strong"],
            ],
            [[it ? "Carrying" : "Free", "pass-t strong"]],
          ],
    ),
    text(right - 9, y1, carries(now.link), { class: "t14 strong end" }),
  ];
  return {
    belt: base.belt,
    trays: [base.trays],
    says: [says, heldWriting(now, gate + PASS_WIDE / 2 - 4, 74, PASS_WIDE - 26)],
    cab: cabs,
    link: { x: sx, y: y2 - 15, width: sw, share, bandwidth },
  };
}

function halfFloor(now, stations, width, most, split) {
  const geo = { ...HALF, kills: now.kills },
    { top, back, front, floor } = geo,
    preps = stations.filter(({ station }) => station === "prep"),
    rest = stations.filter(({ station }) => station !== "prep");
  const narrow = (one) => ({ titled: one.of > 1 ? { name: capital(one.called) } : { name: WORDS[one.station].name } });
  if (!split) {
    const spots = deal(rest, 3, width - 3, 12),
      rooms = rest.map((one, n) => ROOMS[one.station](now, one, ...spots[n], geo, { ...narrow(one), most }));
    return {
      width,
      height: floor,
      drawn: [topRail(now, width), counter(width, geo, rooms, { slabs: spots.slice(1).map(([x]) => [x - 6, front, 8]) })],
      buttons: [],
    };
  }
  const room = width - PASS_HALF - 6,
    a = room * Math.min(0.6, (NEEDS.prep * preps.length) / (NEEDS.prep * preps.length + 236 * rest.length)),
    spotsA = deal(preps, 4, a, 6),
    gate = a + 14,
    spotsB = deal(rest, a + PASS_HALF, width - 3, 8);
  const rooms = [
    ...preps.map((one, n) => ROOMS.prep(now, one, ...spotsA[n], geo, narrow(one))),
    ...rest.map((one, n) =>
      ROOMS[one.station](now, one, ...spotsB[n], geo, { ...narrow(one), most, cols: 1, rows: 4, tall: 30 }),
    ),
  ];
  const by = 324,
    ly = by - (TRAY_H * geo.k) / 2 - 28,
    x1 = spotsB[0][0] - 8,
    base = passParts(now, gate, by, ly, geo, 10, x1),
    it = crossing(now),
    x = gate + 13,
    y1 = front + 30,
    y2 = front + 51,
    left = gate + 4,
    right = spotsB[0][0] - 3,
    waits = now.waiting.length;
  const says = [
    text(x, back + 18, "The pass", { class: "t14 bold" }),
    text(x, back + 35, carries(now.link), { class: "t13" }),
    text(x, back + 51, it ? `tray ${it.number}: ${Math.floor(100 * it.share)} %` : passRests(now), { class: "t13 soft" }),
  ];
  const cabs = [
    rect(left, front + 12, right - left, floor - front - 18, { rx: 4, class: "cab" }),
    text(left + 8, y1, waits ? `${waits} wait${waits > 1 ? "" : "s"}` : it ? "carrying" : "free", { class: "t14 strong pass-t" }),
  ];
  return {
    width,
    height: floor,
    drawn: [
      topRail(now, width),
      counter(width, geo, rooms, {
        slabs: [[gate, ly, 16]],
        belt: base.belt,
        extra: base.trays,
        cabs,
        above: [says, heldWriting(now, (gate + spotsB[0][0]) / 2 + 4, top + 62, PASS_HALF - 28)],
      }),
    ],
    link: {
      x: left + 8,
      y: y2 - 15,
      width: right - left - 16,
      share: shareOf(now.link),
      bandwidth: now.link?.bandwidth,
    },
    buttons: [],
  };
}
