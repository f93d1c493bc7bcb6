// Orders at the door: paper that hangs on a rail. Its printed part is as long as the prompt.

const LONG_PROMPT = 1100;
/** Blocks of KV cache that one printed line, or one cell of a tray, stands for: more when a prompt is too long for the picture. */
const blocksACell = (now) => {
  let blocks = 1;
  while (now.longest > LONG_PROMPT * blocks) blocks *= 4;
  return blocks;
};
const tokensALine = (now) => 2 * BLOCK * blocksACell(now);

/** An order's number, the same wherever the order is. A giant's has two rings. */
const chipWidth = (number) => Math.max(20, 8 + 7.4 * `${number}`.length);
function chip(x, y, number, giant) {
  const width = chipWidth(number);
  return g(
    { class: "chip" },
    giant ? rect(x - width / 2 - 2.5, y - 11.5, width + 5, 23, { rx: 7, class: "giant" }) : null,
    rect(x - width / 2, y - 9, width, 18, { rx: 5, class: "chip-box" }),
    text(x, y + 4.6, `${number}`, { class: "chip-no" }),
  );
}

const zigzag = (width, teeth) => Array.from({ length: teeth }, (_, n) => `l${f1(-width / teeth)} ${n % 2 ? -3 : 3}`).join("");

/** Hung by its short side: the longer the prompt, the further down it reaches. */
function ticket(now, { order, ticket: waits }, x, y, { width = 42, line = 3 } = {}) {
  const body = Math.max(line, Math.round(order.prompt_tokens / tokensALine(now)) * line),
    tall = 58 + Math.min(body, 104);
  if (now.cancels) now.spots.push({ order, x: x + width / 2 - 12, y: y + tall + 3 });
  stands(now, order, "door", x, y);
  return g(
    { class: "ticket", key: order.request, "data-stands": order.request, transform: at(x, y) },
    path(`M0 0h${width}v${tall - 3}${zigzag(width, 8)}z`, { class: "paper" }),
    rect(width / 2 - 5, -6, 10, 9, { rx: 2, class: "clip" }),
    chip(width / 2, 15, order.number, isGiant(now, order)),
    text(width / 2, 38, whole(order.prompt_tokens), { class: "t13 strong mid onpaper" }),
    rect(5, 43, width - 10, Math.min(body, 104), { fill: "url(#sk-lines)" }),
    text(width / 2, tall - 4.5, age(now.t - waits.t0), { class: "t12 mid onpaper-soft" }),
  );
}

/** The same, hung sideways where there is no height. */
function slip(now, { order, ticket: waits }, x, y, { line = 3, most = 200 } = {}) {
  const body = Math.min(most, Math.max(line, Math.round(order.prompt_tokens / tokensALine(now)) * line)),
    after = 14 + chipWidth(order.number), // the chip
    left = after + 8 + whole(order.prompt_tokens).length * 7.6,
    width = left + body + 6 + (now.cancels ? 24 : 0);
  return {
    width,
    drawn: g(
      { class: "ticket", key: order.request, "data-stands": order.request, transform: at(x, y) },
      path(`M0 0h${f1(width)}v38H0z`, { class: "paper" }),
      rect(11, -5, 10, 8, { rx: 2, class: "clip" }),
      chip(8 + chipWidth(order.number) / 2, 12.5, order.number, isGiant(now, order)),
      text(after, 17, whole(order.prompt_tokens), { class: "t13 strong onpaper" }),
      text(7, 35, age(now.t - waits.t0), { class: "t12 onpaper-soft" }),
      g({ transform: at(left, 6) }, rect(0, 0, body, 27, { fill: "url(#sk-bars)" })),
    ),
  };
}

/** The door in the wall: tickets on a rail, as many as there is room for. */
function doorRail(now, x0, x1, y, back, pitch = 46) {
  const shown = now.tickets.slice(0, Math.max(1, Math.floor((x1 - x0 - 8) / pitch))),
    more = now.tickets.length - shown.length;
  return [
    rect(x0, y - 4, x1 - x0, 5, { rx: 2, class: "rail" }),
    g(
      { class: "tickets" },
      shown.map((item, n) => ticket(now, item, x0 + 6 + n * pitch, y)),
    ),
    more > 0 ? text(x0 + 8, back - 8, `+${more} more`, { class: "t13 strong" }) : null,
  ];
}

/** The rail along the top. */
function topRail(now, width) {
  const left = 62,
    right = width - 84,
    out = [];
  let x = left + 6,
    n = 0;
  for (; n < now.tickets.length; n += 1) {
    const spare = now.tickets.length - n > 1 ? 28 : 0,
      one = slip(now, now.tickets[n], x, 17, { most: Math.max(12, right - x - 76 - spare) });
    if (x + one.width > right - spare) break;
    out.push(one.drawn);
    stands(now, now.tickets[n].order, "door", x, 17);
    if (now.cancels) now.spots.push({ order: now.tickets[n].order, x: x + one.width - 26, y: 24 });
    x += one.width + 8;
  }
  const more = now.tickets.length - n;
  return [
    rect(0, 0, width, 58, { class: "wall2" }),
    text(10, 28, "Door", { class: "t14 bold" }),
    text(10, 45, now.tickets.length ? `${now.tickets.length} wait` : "empty", { class: "t13 soft" }),
    rect(left, 12, right - left, 4, { rx: 2, class: "rail" }),
    g({ class: "tickets" }, out),
    more > 0 ? text(x, 40, `+${more}`, { class: "t13 strong" }) : null,
    text(width - 10, 28, "Served", { class: "t14 bold end" }),
    text(width - 10, 45, `${now.served.length} of ${now.log.orders.size}`, { class: "t13 soft end" }),
  ];
}
