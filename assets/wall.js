// The wall of a class (lab/classroom/wall.py), after assets/live.js: the way in, and a kitchen as large as the wall allows.

const KITCHEN_PX = 1130;                        // the kitchen is drawn for so wide a page
const WALL_PX = 800, LEAST = 0.5, STEP = 0.03;  // a narrower window is no wall, and scrolls

function shown() {
  document.body.dataset.stage = page.stage;
  at("way-in").hidden = !page.room;
  if (page.room) showWayIn(new URL(`${given.url}join?room=${page.room}`, document.baseURI));
}

/** A run of the class's question has the wall to itself. */
function staged(data) {
  return { ...data, wall: !page.kitchen, scale: Math.max(1, innerWidth / KITCHEN_PX / data.kitchens.length) };
}

/** The address by which this browser has found the lab, which only it knows where the lab is below a path. */
function showWayIn(address) {
  const picture = new URL(`lab/class/qr?at=${encodeURIComponent(address)}`, document.baseURI).href;
  if (at("qr").src === picture) return;
  at("qr").src = picture;
  at("address").textContent = address.host + address.pathname;
  at("code").textContent = page.room;
}

/** All of it at once, as large as it fits: nobody scrolls a wall. */
function fit() {
  const main = at("parts");
  for (let zoom = 1; zoom > LEAST; zoom -= STEP) {
    main.style.zoom = zoom;
    if (innerWidth < WALL_PX || document.documentElement.scrollHeight <= innerHeight) return;
  }
}

function unknown() { location.reload(); }

new ResizeObserver(fit).observe(at("parts"));
addEventListener("resize", fit);

show(given.page);
