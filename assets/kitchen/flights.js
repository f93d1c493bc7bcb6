// Things do not jump: when an order goes from one place to the next, it flies there after the event, never before it.
// A flight is seen and gone; nothing of it is in the picture, so pausing and scrubbing know nothing of it.

const FLIGHT_MS = 240,
  LEAP_S = 0.5; // further apart than that, two frames are a jump in time, not a move

function flights() {
  let before = new Map(),
    t = Infinity;
  return (root, now, playing) => {
    const here = new Map(now.stands.map((one) => [one.request, one]));
    if (playing && now.t > t && now.t - t < LEAP_S)
      for (const [request, one] of here) {
        const was = before.get(request);
        if (!was || was.where === one.where) continue;
        const from = { translate: `${f1(was.x - one.x)}px ${f1(was.y - one.y)}px` };
        root
          .querySelector(`[data-stands=${JSON.stringify(request)}]`)
          ?.animate?.([from, { translate: "0 0" }], { duration: FLIGHT_MS, easing: "ease-in-out" });
      }
    before = here;
    t = now.t;
  };
}
/** Where an order is drawn in this frame. */
const stands = (now, order, where, x, y) => now.stands?.push({ request: order.request, where, x, y });
