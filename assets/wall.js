// The wall of a class (lab/classroom/wall.py), after assets/live.js: the way in, and a kitchen as large as the wall allows.

const KITCHEN_PX = 1130;                        // the kitchen is drawn for so wide a page

function shown() {
  document.body.dataset.stage = page.stage;
  at("way-in").hidden = !page.room;
  if (page.room) showWayIn(new URL(`${given.url}join?room=${page.room}`, document.baseURI));
  if (page.kitchen) page.kitchen.scale = Math.max(1, innerWidth / KITCHEN_PX / page.kitchen.kitchens.length);
}

/** The address by which this browser has found the lab, which only it knows where the lab is below a path. */
function showWayIn(address) {
  const picture = new URL(`lab/class/qr?at=${encodeURIComponent(address)}`, document.baseURI).href;
  if (at("qr").src === picture) return;
  at("qr").src = picture;
  at("address").textContent = address.host + address.pathname;
  at("code").textContent = page.room;
}

function unknown() { location.reload(); }

show(given.page);
