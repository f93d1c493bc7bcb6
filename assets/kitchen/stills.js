// A moment as a still: the scene's own rooms, small and without words. For the cards of a kitchen, and for any page that has this
// module: there <kitchen-stills> draws the moments that the places in it name.
//
// Around the places stands what the run is read from: the address of {motions} in `run`, or a script of the type application/json
// with {motions} in it. A place is an element with data-at, the seconds of the run; data-worker, whose place it shows; and
// data-pass, where the pass is what it is about.

const STILL_W = 352,
  STILL_H = 204,
  STILL = { top: 0, back: 106, front: 202, floor: 204, hoodH: 9, cook: 0.64, k: 0.78 };

/** The scene's own rooms, small and without words. */
function still(log, one) {
  const now = moment(log, one.at),
    all = crew(now.roles).map((who) => stationAt(now, who)),
    who = all.find(({ name }) => name === one.worker),
    preps = all.filter(({ station }) => station === "prep"),
    geo = STILL;
  if (!who) return null;
  let rooms,
    more = {};
  const bare = { titled: {}, most: Math.max(3, who.plates.length), cols: 1, rows: 3, tall: 26, bare: true };
  if (who.station === "plating" && preps.length && one.pass) {
    const gate = 196,
      it = crossing(now),
      base = passParts(now, gate, 166, 128, { ...geo, k: 0.9 }, -8, STILL_W + 8),
      room = ROOMS.plating(now, who, 224, STILL_W - 4, geo, bare);
    rooms = [{ ...room, items: null, over: null }]; // the belt is what this is about
    more = {
      slabs: [[gate, 124, 14]],
      belt: base.belt,
      extra: base.trays,
      above: it
        ? [
            text(14, 30, bytes(it.done), { class: "t17 strong" }),
            text(14, 48, `of ${bytes(it.nbytes)}`, { class: "t13" }),
            text(14, 65, `at ${rate(now.link?.bandwidth)}`, { class: "t13 soft" }),
          ]
        : null,
    };
  } else if (who.station === "plating" && preps.length) {
    const prep = preps.find((each) => each.cuts) || preps[0];
    rooms = [ROOMS.prep(now, prep, 2, 150, geo, bare), ROOMS.plating(now, who, 164, STILL_W - 2, geo, bare)];
    more = { slabs: [[157, 202, 10]] };
  } else rooms = [ROOMS[who.station](now, who, 2, STILL_W - 2, geo, bare)];
  const id = `sk-still-${Math.round(one.at * 1e4)}-${who.name}`;
  return h(
    "svg",
    { class: "sk-scene sk-still", viewBox: `0 0 ${STILL_W} ${STILL_H}`, "aria-hidden": "true" },
    h("clipPath", { id }, rect(0, 0, STILL_W, STILL_H, { rx: 10 })),
    g({ "clip-path": `url(#${id})` }, counter(STILL_W, geo, rooms, { ...more, bare: true })),
  );
}

class KitchenStills extends HTMLElement {
  async connectedCallback() {
    this.log ||= this.read(); // once, wherever the page moves it
    this.restyled?.();
    this.restyled = onRestyle(() => this.querySelectorAll(".sk").forEach(paint));
    const log = await this.log;
    await document.fonts?.ready; // words are as wide as they are in the page's font
    if (log && this.isConnected) this.querySelectorAll("[data-at]:empty").forEach((place, n) => hang(place, log, !n));
  }

  disconnectedCallback() {
    this.restyled?.();
  }

  /** The run; null where the lab no longer has it: the words beside a still say what it would show. */
  async read() {
    const from = this.getAttribute("run"),
      log = newLog();
    try {
      const told = from ? (await fetch(new URL(from, document.baseURI))).json() : JSON.parse(this.querySelector("script").textContent);
      ingest(log, (await told).motions);
      return log;
    } catch {
      this.setAttribute("data-none", "");
      return null;
    }
  }
}

/** The first one brings the style and the fills. */
function hang(place, log, first) {
  const wrapper = h2("div", "sk"),
    sheet = document.createElement("style"),
    { at, worker, pass } = place.dataset;
  sheet.textContent = CSS;
  if (first) wrapper.append(sheet, mount(patterns()).node);
  place.append(wrapper);
  paint(wrapper);
  const seen = still(log, { at: Number(at), worker, pass: pass != null });
  if (seen) wrapper.append(mount(seen).node);
}

if (!customElements.get("kitchen-stills")) customElements.define("kitchen-stills", KitchenStills);
