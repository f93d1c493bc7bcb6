// A number guessed: a slider in readable steps and an exact entry that follow each other. Emits `value` when one is set,
// null when what was typed is none; until then there is no guess.
//
//   createNumber(root, {emit})   knows only the element it draws under; update(data) is called as often as one likes
//
// data: {unit, low, high, stops, at, value}; at: the stop the slider begins at, value: what was set before; all in `unit`.

let named = 0;

function words(value, unit) {
  const digits = Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(3));
  return `${digits} ${unit}`.trim();
}

/** The stop that is closest, as one reads the scale: by ratio where all are above zero. */
function closest(value, stops) {
  const far = stops[0] > 0 && value > 0 ? (stop) => Math.abs(Math.log(stop / value)) : (stop) => Math.abs(stop - value);
  return stops.reduce((best, stop, n) => (far(stop) < far(stops[best]) ? n : best), 0);
}

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function createNumber(root, { emit }) {
  const id = `nb${++named}`;
  const shown = el("output", { class: "nb-shown", "aria-hidden": "true" });
  const slider = el("input", { type: "range", min: 0, step: 1, id });
  const exact = el("input", { type: "number", step: "any", inputmode: "decimal", id: `${id}e`, placeholder: "not set" });
  const question = el("label", { for: id }), other = el("label", { for: `${id}e` });
  const low = el("span", {}), high = el("span", {}), note = el("p", { class: "nb-note", role: "status" });
  const style = document.createElement("style");
  style.textContent = CSS;
  const wrapper = el("div", { class: "nb" },
    el("div", { class: "nb-slide" }, question, shown, slider, el("div", { class: "nb-ends", "aria-hidden": "true" }, low, high)),
    el("div", { class: "nb-exact" }, other, exact), note);
  root.append(style, wrapper);
  let data, shape = "", value = null;

  function draw() {
    const said = words(value ?? data.stops[+slider.value], data.unit);
    shown.textContent = said;
    slider.setAttribute("aria-valuetext", said);
    const part = +slider.value / Math.max(1, data.stops.length - 1);
    shown.style.setProperty("--part", part);
    slider.style.setProperty("--part", part);
    wrapper.classList.toggle("nb-unset", value === null);
  }

  function say(text) { note.textContent = text; }

  slider.addEventListener("input", () => {
    value = data.stops[+slider.value];
    exact.value = value;
    say("");
    draw();
  });
  slider.addEventListener("change", () => emit("value", value));
  exact.addEventListener("change", () => {
    const typed = exact.value.trim() === "" ? NaN : Number(exact.value);
    value = typed >= data.low && typed <= data.high ? typed : null;
    say(value === null ? `Not set: from ${words(data.low, data.unit)} to ${words(data.high, data.unit)}.` : "");
    if (value !== null) slider.value = closest(value, data.stops);
    draw();
    emit("value", value);
  });

  return {
    update(next) {
      const looks = JSON.stringify({ ...next, value: null });
      if (looks === shape) return;      // a change of theme, or a rerun: what is set stays
      shape = looks;
      data = next;
      value = data.value;
      const unit = data.unit ? `, ${data.unit}` : "";
      question.textContent = `Your guess${unit}`;
      other.textContent = `or exactly${unit}`;
      slider.max = data.stops.length - 1;
      slider.value = closest(value ?? data.at, data.stops);
      Object.assign(exact, { min: data.low, max: data.high, value: value ?? "" });
      low.textContent = words(data.low, data.unit);
      high.textContent = words(data.high, data.unit);
      say(value === null ? "Not set yet: move the slider, or type a number." : "");
      draw();
    },
    destroy() { style.remove(); wrapper.remove(); },
  };
}

export default mounting(createNumber);

const CSS = `
.nb { --ink: var(--st-text-color, #1f2328); --main: var(--st-primary-color, #0072b2); display: flex; flex-wrap: wrap; align-items: flex-end;
  gap: .5rem 1.5rem; color: var(--ink); font-family: var(--st-font, system-ui, sans-serif); }
.nb label { display: block; font-size: .875rem; }
.nb-slide { flex: 1 1 260px; max-width: 520px; }
.nb-exact { flex: 0 1 170px; }
.nb-shown { display: block; width: max-content; margin: .5rem 0 0 clamp(0px, calc(var(--part) * (100% - 20px)), 100%); font-weight: 600;
  font-size: .875rem; font-variant-numeric: tabular-nums; transform: translateX(calc(var(--part) * -100% + var(--part) * 20px)); }
.nb-unset .nb-shown { opacity: .75; font-weight: 400; }
.nb input[type=range] { appearance: none; display: block; width: 100%; height: 28px; margin: 0; background: none; cursor: pointer; touch-action: pan-y; }
.nb input[type=range]::-webkit-slider-runnable-track { height: 6px; border-radius: 3px; background: linear-gradient(to right, var(--main) calc(var(--part) * 100%),
  color-mix(in srgb, var(--ink) 28%, transparent) calc(var(--part) * 100%)); }
.nb input[type=range]::-moz-range-track { height: 6px; border-radius: 3px; background: color-mix(in srgb, var(--ink) 28%, transparent); }
.nb input[type=range]::-moz-range-progress { height: 6px; border-radius: 3px; background: var(--main); }
.nb input[type=range]::-webkit-slider-thumb { appearance: none; width: 20px; height: 20px; margin-top: -7px; border: 0; border-radius: 50%; background: var(--main); }
.nb input[type=range]::-moz-range-thumb { width: 20px; height: 20px; border: 0; border-radius: 50%; background: var(--main); }
.nb-unset input[type=range]::-webkit-slider-thumb { background: var(--st-background-color, #fff); border: 3px solid var(--main); }
.nb-unset input[type=range]::-moz-range-thumb { background: var(--st-background-color, #fff); border: 3px solid var(--main); box-sizing: border-box; }
.nb input:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; border-radius: 6px; }
.nb-ends { display: flex; justify-content: space-between; font-size: .875rem; font-variant-numeric: tabular-nums; }
.nb-exact input { box-sizing: border-box; width: 100%; min-height: 40px; margin-top: .25rem; padding: 0 .75rem; font: inherit; font-variant-numeric: tabular-nums;
  color: var(--ink); background: var(--st-secondary-background-color, #f0f2f6); border: 1px solid color-mix(in srgb, var(--ink) 45%, transparent);
  border-radius: var(--st-base-radius, 8px); appearance: textfield; }
.nb-exact input::-webkit-inner-spin-button { display: none; }
.nb-exact input::placeholder { color: var(--ink); opacity: .75; }
.nb-note { flex: 1 1 100%; margin: 0; font-size: .875rem; opacity: .85; min-height: 1.3em; }
@media (forced-colors: active) { .nb input[type=range] { appearance: auto; } }
`;
