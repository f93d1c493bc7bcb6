// A curve drawn by hand: one point for each x, moved by pointer or arrow keys. Emits `values` when a move is done.
//
//   createCurve(root, {emit})   knows only the element it draws under; update(data) is called as often as one likes
//
// data: {x, x_label, y_label, unit, low, high, log, log_x}; values are in `unit`.

const SVG = "http://www.w3.org/2000/svg";
const WIDEST = 760, NARROWEST = 240, H = 320, LEFT = 64, RIGHT = 18, TOP = 14, BOTTOM = 46;
const STEPS = 60;           // arrow keys go from bottom to top in so many steps,
const LEAP = 6;             // Page Up and Page Down in a tenth

function el(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function words(value) {
  const digits = Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(2));
  return digits;
}

const scale = (low, high, log) => log && low > 0
  ? { part: (value) => Math.log(value / low) / Math.log(high / low), value: (part) => low * (high / low) ** part }
  : { part: (value) => (value - low) / (high - low), value: (part) => low + part * (high - low) };

/** Readable values between low and high, six at most. */
function ticks(low, high, log) {
  if (log && low > 0) {
    const all = [];
    for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d++)
      for (const m of high / low > 200 ? [1] : [1, 2, 5]) all.push(m * 10 ** d);
    return all.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const all = [];
  for (let n = Math.ceil(low / step); n * step <= high * 1.001; n++) all.push(n * step);
  return all;
}

function createCurve(root, { emit }) {
  const wrapper = document.createElement("div"), style = document.createElement("style");
  wrapper.className = "cv";
  style.textContent = CSS;
  const svg = el("svg", { role: "group" });
  wrapper.append(style, svg);
  root.append(wrapper);
  let shape = "", data, x, y, parts, handles, line, held = -1, dirty = false, W = 640;

  /** One unit is one pixel, so that letters and handles are as large on a phone. */
  const sized = new ResizeObserver(([entry]) => {
    const width = Math.round(Math.min(WIDEST, Math.max(NARROWEST, entry.contentRect.width)));
    if (!data || width === W) return;
    W = width;
    build();
  });
  sized.observe(wrapper);

  function build() {
    const focused = handles?.indexOf(svg.getRootNode().activeElement) ?? -1;
    svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
    const places = data.x;
    x = scale(Math.min(...places), Math.max(...places), data.log_x && Math.min(...places) > 0);
    y = scale(data.low, data.high, data.log);
    if (parts?.length !== places.length) parts = places.map(() => 0.5);
    svg.replaceChildren();
    svg.setAttribute("aria-label", `${data.y_label} against ${data.x_label}, to be drawn by hand`);
    for (const tick of ticks(data.low, data.high, data.log)) {
      const at = down(y.part(tick));
      svg.append(el("line", { class: "cv-grid", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }),
        el("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, words(tick)));
    }
    places.forEach((place, n) => {
      svg.append(el("line", { class: "cv-grid", x1: across(n), x2: across(n), y1: TOP, y2: H - BOTTOM }),
        el("text", { x: across(n), y: H - BOTTOM + 18, "text-anchor": "middle" }, words(place)));
    });
    svg.append(
      el("text", { class: "cv-label", x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, data.x_label),
      el("text", { class: "cv-label", transform: `translate(14 ${(TOP + H - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" },
        data.unit && !data.y_label.includes(data.unit) ? `${data.y_label}, ${data.unit}` : data.y_label));
    line = el("polyline", { class: "cv-line" });
    handles = places.map((place, n) => el("g", { class: "cv-point", tabindex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-label": `${data.y_label} at ${words(place)} ${data.x_label}`, "aria-valuemin": data.low, "aria-valuemax": data.high, "data-n": n },
      el("circle", { class: "cv-grip", r: 20 }), el("circle", { class: "cv-dot", r: 9 }), el("text", { class: "cv-value", "text-anchor": "middle" })));
    svg.append(line, ...handles);
    draw();
    handles[focused]?.focus({ preventScroll: true });
  }

  const across = (n) => LEFT + 26 + x.part(data.x[n]) * (W - RIGHT - LEFT - 52);
  const down = (part) => H - BOTTOM - part * (H - BOTTOM - TOP);
  const valueOf = (part) => +y.value(part).toPrecision(3);

  function draw() {
    line.setAttribute("points", parts.map((part, n) => `${across(n)},${down(part)}`).join(" "));
    handles.forEach((handle, n) => {
      const value = Math.min(data.high, Math.max(data.low, valueOf(parts[n])));
      handle.setAttribute("transform", `translate(${across(n)} ${down(parts[n])})`);
      handle.setAttribute("aria-valuenow", value);
      handle.setAttribute("aria-valuetext", `${words(value)} ${data.unit}`.trim());
      handle.lastChild.setAttribute("y", parts[n] > 0.88 ? 28 : -16);
      handle.lastChild.textContent = words(value);
    });
  }

  function move(n, part) {
    parts[n] = Math.min(1, Math.max(0, part));
    dirty = true;
    draw();
  }

  function done() {
    if (!dirty) return;
    dirty = false;
    emit("values", parts.map((part) => Math.min(data.high, Math.max(data.low, valueOf(part)))));
  }

  const KEYS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: LEAP, PageDown: -LEAP, Home: -STEPS, End: STEPS };
  let later = 0;
  svg.addEventListener("keydown", (event) => {
    const handle = event.target.closest(".cv-point"), by = KEYS[event.key];
    if (!handle || !by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const n = +handle.dataset.n;
    move(n, parts[n] + by / STEPS);
    clearTimeout(later);
    later = setTimeout(done, 250);      // a held key is one move
  });
  svg.addEventListener("focusout", () => { clearTimeout(later); done(); });
  const partAt = (event) => {
    const box = svg.getBoundingClientRect();
    return (H - BOTTOM - (event.clientY - box.top) * (H / box.height)) / (H - BOTTOM - TOP);
  };
  svg.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".cv-point");
    if (!handle) return;
    held = +handle.dataset.n;
    svg.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => { if (held >= 0) move(held, partAt(event)); });
  const release = () => { held = -1; done(); };
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);

  return {
    update(next) {
      const looks = JSON.stringify(next);
      if (looks === shape) return;      // a change of theme, or a rerun: what is drawn stays
      shape = looks;
      data = next;
      parts = null;
      W = Math.round(Math.min(WIDEST, Math.max(NARROWEST, wrapper.clientWidth || W)));
      build();
    },
    destroy() { clearTimeout(later); sized.disconnect(); wrapper.remove(); },
  };
}

export default mounting(createCurve);

const CSS = `
.cv { --ink: var(--st-text-color, #1f2328); max-width: 760px; color: var(--ink); font-family: var(--st-font, system-ui, sans-serif); }
.cv svg { display: block; width: 100%; height: auto; overflow: visible; touch-action: pan-y; user-select: none; }
.cv text { fill: var(--ink); font-size: 14px; font-variant-numeric: tabular-nums; }
.cv .cv-label { font-size: 14px; }
.cv .cv-value { font-weight: 600; paint-order: stroke; stroke: var(--st-background-color, #fff); stroke-width: 4px; }
.cv-grid { stroke: color-mix(in srgb, var(--ink) 18%, transparent); }
.cv-line { fill: none; stroke: var(--st-primary-color, #0072b2); stroke-width: 2.5; stroke-dasharray: 7 5; }
.cv-point { cursor: ns-resize; outline: none; touch-action: none; }
.cv-grip { fill: transparent; }
.cv-dot { fill: var(--st-background-color, #fff); stroke: var(--st-primary-color, #0072b2); stroke-width: 4; }
.cv-point:hover .cv-dot { fill: color-mix(in srgb, var(--st-primary-color, #0072b2) 35%, var(--st-background-color, #fff)); }
.cv-point:focus .cv-dot, .cv-point:focus-visible .cv-dot { fill: var(--st-primary-color, #0072b2); }
.cv-point:focus-visible .cv-grip { stroke: var(--ink); stroke-width: 2.5; }
@media (forced-colors: active) { .cv text { fill: CanvasText; } .cv-dot, .cv-line { stroke: Highlight; } }
`;
