// The belt's knob and the playhead: they show what is, and are also in somebody's hand.

/** A wedge as wide as the belt, and its knob, unless that is a slider's. A line marks what the road carries at most. */
function knob({ x, y, width, share }, held, ceiling) {
  const most = x + width * linkShare(ceiling || 0);
  return [
    path(`M${f1(x)} ${y + 10}L${f1(x + width)} ${y + 16}V${y + 4}Z`, { class: "wedge" }),
    path(`M${f1(x)} ${y + 10}L${f1(x + width * share)} ${f1(y + 10 + 6 * share)}V${f1(y + 10 - 6 * share)}Z`, {
      class: "wedge-full",
    }),
    ceiling ? path(`M${f1(most)} ${y}V${y + 20}`, { class: "ceiling" }) : null,
    held ? null : circle(x + width * share, y + 10, 7, { class: "knob" }),
  ];
}

const CONFIRMED_MS = 5000; // by then the run has the link that was asked for, or another

/** Acts while it is dragged, ten times a second at most; the page hears of it on release. What was chosen stays until the
 *  log has it too, which on a busy machine takes a while. */
function linkSlider(view) {
  const range = h2("input", "sk-link"),
    out = h2("output", "sk-link-says"),
    root = h2("div", "sk-slider");
  Object.assign(range, { type: "range", min: 0, max: NOTCHES, step: 1 });
  range.setAttribute("aria-label", "Width of the belt");
  root.append(range, out);
  let sent = 0,
    timer = 0,
    telling = 0,
    held = false,
    chosen = 0,
    chosenAt = -Infinity,
    told = null;
  const act = () => {
    clearTimeout(timer);
    const wait = sent + 100 - performance.now();
    if (wait > 0) {
      timer = setTimeout(act, wait);
      return;
    }
    sent = performance.now();
    view.send({ do: "link", bandwidth_bytes_per_s: rateOf(chosen), latency_s: view.latency });
  };
  const tell = () => {
    const bandwidth = rateOf(+range.value),
      like = [likeFabric(view.ruler, bandwidth), beyond(view.ceiling, bandwidth)].filter(Boolean).join("; ");
    told = range.value;
    range.setAttribute("aria-valuetext", [rate(bandwidth), like].filter(Boolean).join(", "));
    out.textContent = held || view.linkSet ? [rate(bandwidth), like].filter(Boolean).join(": ") : like;
  };
  range.oninput = () => {
    held = true;
    chosen = +range.value;
    chosenAt = performance.now();
    tell();
    if (view.isLive()) act();
  };
  range.onchange = () => {
    held = false;
    view.linkSet = true;
    clearTimeout(telling);
    telling = setTimeout(() => view.emit("link", rateOf(+range.value)), 300);
  };
  return {
    draw(now, { x, y, width }) {
      view.latency = now.link ? now.link.latency : 0;
      const place = `left:${Math.round(x - 8)}px;top:${Math.round(y - 3)}px;width:${Math.round(width + 16)}px`;
      if (root.placed !== place) {
        root.placed = place;
        root.style.cssText = place;
      }
      const notch = now.link ? notchOf(now.link.bandwidth) : 0;
      if (
        !held &&
        now.link &&
        !(view.linkSet && !view.isLive()) &&
        (notch === chosen || performance.now() - chosenAt >= CONFIRMED_MS)
      ) {
        chosenAt = -Infinity;
        if (+range.value !== notch || told == null) {
          range.value = notch;
          tell();
        }
      }
      return own(root);
    },
  };
}

/** A slider over the x-ray, whose handle is the playhead. */
function scrubber(view) {
  const root = h2("input", "sk-scrub");
  Object.assign(root, { type: "range", min: 0, max: 1000, step: 1 });
  if (view.first()) root.setAttribute("aria-label", "Time");
  else {
    root.setAttribute("aria-hidden", "true");
    root.tabIndex = -1;
  }
  let box = null;
  root.oninput = () => {
    if (box) view.seek(box.from + (root.value / 1000) * (box.to - box.from));
  };
  return {
    root,
    draw(t, now, edge) {
      box = now;
      const place = `left:${box.left}px;width:${box.right - box.left}px`,
        value = Math.round(1000 * clamp((t - box.from) / (box.to - box.from), 0, 1));
      if (root.placed !== place) {
        root.placed = place;
        root.style.left = `${box.left}px`;
        root.style.width = `${box.right - box.left}px`;
      }
      if (+root.value !== value) root.value = value;
      const says = `${t.toFixed(1)} of ${edge.toFixed(1)} seconds`;
      if (root.says !== says) {
        root.says = says;
        root.setAttribute("aria-valuetext", says);
      }
    },
  };
}
