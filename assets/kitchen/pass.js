// The pass: a belt as thick as the link is wide (log), through a gap in the wall. A tray under the wall is its own progress bar.

const CELL = 7,
  ROWS = 4,
  RIM = 4,
  TRAY_H = ROWS * CELL + 2 * RIM,
  BELTS = 2;
const cellsOf = (now, tokens) => Math.ceil(Math.ceil(tokens / BLOCK) / blocksACell(now));
const trayLength = (cells) => Math.ceil(cells / ROWS) * CELL + 2 * RIM;

/** Seen from above: outlined cells are to come, hatched ones are in this very step, solid ones are there. */
function tray(
  now,
  x,
  y,
  order,
  {
    tokens = order.prompt_tokens,
    made = tokens,
    next = made,
    scale = 1,
    crossed = null,
    held = false,
    chipAt = 0.5,
    below = false,
    numbered = true,
  } = {},
) {
  const cells = cellsOf(now, tokens),
    length = trayLength(cells),
    wide = (count) => Math.ceil(count / ROWS) * CELL,
    tall = ROWS * CELL;
  const done = made >= tokens ? cells : Math.floor(made / BLOCK / blocksACell(now)),
    cooking = cellsOf(now, next),
    px = length * scale;
  stands(now, order, crossed == null && made === tokens ? "belt" : crossed == null ? "board" : "belt", x, y);
  return g(
    { class: held ? "tray is-held" : "tray", key: order.request, "data-stands": order.request, transform: at(x, y) },
    g(
      { transform: at(0, 0, scale) },
      length > 40 ? path(`M-1 ${TRAY_H / 2 - 7}h-4v14h4M${length + 1} ${TRAY_H / 2 - 7}h4v14h-4`, { class: "handle" }) : null,
      rect(0, 0, length, TRAY_H, { rx: 5, class: "tray-box" }),
      g(
        { transform: at(RIM, RIM) },
        done < cells ? rect(0, 0, wide(cells), tall, { fill: "url(#sk-ghost)" }) : null,
        cooking > done ? rect(0, 0, wide(cooking), tall, { fill: "url(#sk-cook)" }) : null,
        done ? rect(0, 0, wide(done), tall, { fill: "url(#sk-cells)" }) : null,
        crossed != null ? rect(0, 0, (1 - crossed) * (length - 2 * RIM), tall, { class: "to-go" }) : null,
      ),
    ),
    numbered
      ? chip(
          px < 40 ? px / 2 : clamp(px * chipAt, 12, px - 12),
          below ? TRAY_H * scale + 13 : -12,
          order.number,
          isGiant(now, order),
        )
      : null,
  );
}

const beltBed = (...how) => kept(`belt ${how.join()} of ${fastest}`, () => beltBedOf(...how));
function beltBedOf(x0, x1, y, bandwidth) {
  const thick = beltPx(bandwidth),
    small = Math.min(5, thick / 3);
  let d = "";
  if (thick) for (let x = x0 + 18; x < x1 - 8; x += 26) d += `M${f1(x)} ${f1(y - small)}l5 ${f1(small)}l-5 ${f1(small)}`;
  return [
    rect(x0, y - thick / 2, x1 - x0, thick, { rx: Math.min(8, thick / 2), class: "belt" }),
    path(d, { class: "chevrons" }),
    thick
      ? null
      : path(
          `M${x0} ${y}H${f1((x0 + x1) / 2 - 14)}M${f1((x0 + x1) / 2 + 14)} ${y}H${x1}M${f1((x0 + x1) / 2 - 6)} ${y - 8}l12 16M${f1((x0 + x1) / 2 + 6)} ${y - 8}l-12 16`,
          { class: "cut-belt" },
        ),
  ];
}

/** Trays on their way. All of them move at the belt's pace; those that wait stand in a row before the wall. */
function trays(now, gate, y, scale, x0) {
  const out = [],
    held = new Set(heldByTrays(now).map(({ order }) => order.request)),
    shown = now.trays.slice(0, BELTS),
    small = shown.length > 1 ? scale * 0.62 : scale;
  let right = gate - 14;
  shown.forEach(({ order, tray: one }, n) => {
    const share = one.nbytes ? trayBytes(one, now.t) / one.nbytes : 0,
      length = trayLength(cellsOf(now, order.prompt_tokens)) * small,
      left = gate - length + share * length;
    out.push(
      tray(now, left, y - (TRAY_H * small) / 2 + (shown.length > 1 ? (n ? 13 : -13) * scale : 0), order, {
        scale: small,
        crossed: share,
        chipAt: share < 0.5 ? 0 : 1,
        below: n > 0,
      }),
    );
    right = Math.min(right, left - 12);
  });
  let more = 0;
  for (const { order } of now.waiting) {
    const length = trayLength(cellsOf(now, order.prompt_tokens)) * scale,
      wide = Math.max(length, 24);
    if (more || right - wide < x0) {
      more += 1;
      continue;
    }
    right -= wide;
    out.push(tray(now, right + (wide - length) / 2, y - (TRAY_H * scale) / 2, order, { scale, held: held.has(order.request) }));
    right -= 8;
  }
  more += now.trays.length - shown.length;
  return [
    g({ class: "trays" }, out),
    more > 0 && now.spots ? text(x0 + 4, y + TRAY_H / 2 + 18, `+${more} more`, { class: "t13 strong" }) : null,
  ];
}

/** Of a pass on which nothing crosses. */
const passRests = (now) =>
  now.waiting.length === 1 ? `tray ${now.waiting[0].order.number} is next` : now.waiting.length ? "free" : "nothing to carry";

/** What stands beside the gate: the bytes that are across, and those to go. */
function crossing(now) {
  const first = now.trays[0];
  if (!first) return null;
  const { order, tray: one } = first,
    done = trayBytes(one, now.t);
  return {
    number: order.number,
    nbytes: one.nbytes,
    done,
    share: one.nbytes ? done / one.nbytes : 0,
    more: now.trays.length - 1,
  };
}
