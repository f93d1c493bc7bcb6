// One cook: a few flat shapes. What a cook does is where the hands and eyes are, and nothing else moves.
// Origin: the middle of the body, where it meets the counter's back edge.

const COOKS = [
  { skin: "#8a5a3c", shade: "#6f452c", hair: "#241a16", wears: "glasses" },
  { skin: "#e7b98f", shade: "#cd9766", hair: "#a4532a", wears: "bun" },
  { skin: "#f0cdb0", shade: "#d7a985", hair: "#8d9197", wears: "beard" },
  { skin: "#6d4630", shade: "#553322", hair: "#17120f", wears: "locks" },
  { skin: "#d9a577", shade: "#b98152", hair: "#2b2320", wears: "moustache" },
];

/** Elbow of an arm of two equal bones; `bend` is the side that it goes to. */
function elbow(a, b, bone, bend) {
  const dx = b.x - a.x,
    dy = b.y - a.y,
    far = Math.hypot(dx, dy) || 1,
    half = Math.min(far, 2 * bone - 0.5) / 2;
  const out = Math.sqrt(Math.max(0, bone * bone - half * half));
  return { x: a.x + dx / 2 - (bend * out * dy) / far, y: a.y + dy / 2 + (bend * out * dx) / far };
}

const TOOLS = {
  knife: () =>
    g(
      { class: "tool knife" },
      path("M-5 -3L-33 4Q-38 12 -30 13L-3 6Z", { class: "steel" }),
      path("M-7 -5L9 -8Q13 -5 11 1L-5 6Z", { class: "grip" }),
    ),
  tweezers: () => g({ class: "tool" }, path("M-2 -5L-3 21M3 -5L-1 21", { class: "steel-line" })),
};

/**
 * look: -1 to our left .. 0 at us .. 1 to our right; down: the eyes are lowered; lean: -1 .. 1
 * hands: [{ x, y, tool, bend }] for our-left and our-right hand, on the scene; scarf: one role, or both
 */
function cook({ n, x, y, scale = 1, look = 0, down = false, lean = 0, hands, scarf, works }) {
  const one = COOKS[n % COOKS.length],
    shift = lean * 4,
    sh = [
      { x: -25 + shift, y: -60 },
      { x: 25 + shift, y: -60 },
    ];
  const body = g(
    { class: "cook", transform: at(x, y, scale) },
    path(
      `M-32 3C-34 -22 -36 -44 ${f1(-28 + shift)} -60Q${f1(-22 + shift)} -71 ${f1(-9 + shift)} -73L${f1(9 + shift)} -73Q${f1(22 + shift)} -71 ${f1(28 + shift)} -60C36 -44 34 -22 32 3Z`,
      { class: "coat" },
    ),
    path(`M${f1(shift + look * 4)} -64Q${f1(5 + look * 4 + shift)} -30 ${f1(4 + look * 5)} 3`, { class: "seam" }),
    [-50, -36, -22].map((dy) => [
      circle(-5 + shift * (-dy / 60) + look * 5, dy, 1.7, { class: "button" }),
      circle(11 + shift * (-dy / 60) + look * 4, dy, 1.7, { class: "button" }),
    ]),
    rect(-7 + shift, -86, 14, 16, { fill: one.shade }),
    scarves(scarf, look * 1.5 + shift),
    g(
      { class: "head", transform: `translate(${f1(lean * 7 + look * 2.5)} -101) rotate(${f1(look * 3 + lean * 4)})` },
      head(one, look, down),
    ),
  );
  const arms = g(
    { class: "cook", transform: at(x, y, scale) },
    hands.map((hand, side) => arm(one, sh[side], hand, side, { x, y, scale, works })),
  );
  return { body, arms };
}

function scarves(scarf, x) {
  const [left, right] = scarf.length > 1 ? scarf : [scarf[0], scarf[0]];
  return g(
    { transform: at(x, -75) },
    path("M-14 -3Q0 6 14 -3Q13 6 5 8L0 18L-5 8Q-13 6 -14 -3Z", { class: `scarf ${left}` }),
    right === left ? null : path("M0 1.6Q8 1 14 -3Q13 6 5 8L0 18Z", { class: `scarf ${right}` }),
  );
}

function head(one, look, down) {
  const { skin, shade, hair, wears } = one,
    eyes = look * 6.5,
    side = look < 0 ? 1 : -1;
  return [
    wears === "bun"
      ? circle(side * 16, 4, 6.5, { fill: hair })
      : wears === "locks"
        ? path(`M${side * 10} -6q${side * 12} 4 ${side * 8} 24M${side * 8} -4q${side * 6} 8 ${side * 4} 22`, {
            stroke: hair,
            "stroke-width": 6,
            fill: "none",
            "stroke-linecap": "round",
          })
        : null,
    circle(-16.5 + look * 3, 2, 3.8, { fill: shade, visibility: look < -0.6 ? "hidden" : null }),
    circle(16.5 + look * 3, 2, 3.8, { fill: shade, visibility: look > 0.6 ? "hidden" : null }),
    path("M-16 -9C-17 8 -11 19 0 19.5C11 19 17 8 16 -9Z", { fill: skin }),
    wears === "beard"
      ? path(
          `M-16 -1C-16 13 -9 22 ${f1(look * 2)} 22C9 22 16 13 16 -1C13 6 ${f1(6 + look * 3)} 8 ${f1(look * 5)} 8C${f1(-6 + look * 3)} 8 -13 6 -16 -1Z`,
          { fill: hair },
        )
      : null,
    path(
      Math.abs(look) > 0.4
        ? `M${side * 16} -9Q${side * 18} 5 ${side * 12} 10Q${side * 13} 0 ${side * 7} -9Z`
        : "M-16 -9L-16 1Q-13 -3 -11 -9ZM16 -9L16 1Q13 -3 11 -9Z",
      { fill: hair },
    ),
    g(
      { transform: at(eyes, down ? 2 : 0) },
      down
        ? path("M-9 0q3 3 6 0M3 0q3 3 6 0", { class: "lid" })
        : [
            h("ellipse", { cx: -6, cy: 0, rx: 1.9, ry: 2.5, class: "eye" }),
            h("ellipse", { cx: 6, cy: 0, rx: 1.9, ry: 2.5, class: "eye" }),
          ],
      path("M-9.5 -5.5q3.5 -2.2 6.5 -.4M9.5 -5.5q-3.5 -2.2 -6.5 -.4", { stroke: hair, class: "brow" }),
      path(`M${f1(look * 2 - 1)} 1Q${f1(look * 5 + 3.2)} 7 ${f1(look * 2 - 1.4)} 7.4`, { stroke: shade, class: "nose" }),
      wears === "glasses"
        ? path(
            "M-10.6 0a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0 -9.2 0M1.4 0a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0 -9.2 0M-1.4 -.6q1.4 -1.2 2.8 0",
            { class: "glasses" },
          )
        : null,
      wears === "moustache" ? path("M0 9.6q-4 -3 -8 2q5 2.6 8 .2q3 2.4 8 -.2q-4 -5 -8 -2z", { fill: hair }) : null,
    ),
    // a tall hat, soft at the top
    path("M-17 -8L-18.5 -33L18.5 -33L17 -8Q0 -13 -17 -8Z", { class: "hat" }),
    path("M-19 -31C-33 -33 -31 -52 -17 -50C-13 -61 13 -61 17 -50C31 -52 33 -33 19 -31Q0 -27 -19 -31Z", { class: "hat" }),
    path("M-11 -14L-12 -26M-4 -15L-4.4 -28M4 -15L4.4 -28M11 -14L12 -26", { class: "pleat" }),
  ];
}

function arm(one, a, hand, side, { x, y, scale, works }) {
  const b = { x: (hand.x - x) / scale, y: (hand.y - y) / scale },
    bone = Math.max(36, Math.hypot(b.x - a.x, b.y - a.y) / 1.94);
  const e = elbow(a, b, bone, hand.bend ?? (side ? -1 : 1)),
    d = `M${f1(a.x)} ${f1(a.y)}L${f1(e.x)} ${f1(e.y)}L${f1(b.x)} ${f1(b.y)}`;
  const along = (share) => `${f1(b.x + (e.x - b.x) * share)} ${f1(b.y + (e.y - b.y) * share)}`;
  return [
    path(d, { class: "arm-edge" }),
    path(d, { class: "arm" }),
    path(`M${along(0.27)}L${along(0.16)}`, { class: "cuff" }),
    g(
      { class: hand.tool === "knife" && works ? "hand chops" : "hand", transform: at(b.x, b.y) },
      hand.tool ? TOOLS[hand.tool]() : null,
      circle(0, 0, 7, { fill: one.skin }),
    ),
  ];
}
