// The player: one clock for all kitchens.

function player(stage) {
  const button = (face, label, act) => el("button", { type: "button", "aria-label": label, title: label, onclick: act }, face);
  const { clock } = stage;
  const play = button(icon("play"), "Play (space)", () => stage.toggle());
  const live = el("button", { type: "button", class: "sk-live", onclick: () => stage.follow() }, "Live");
  const speeds = SPEEDS.map(([speed, text]) => button(text, `Speed ${text}`, () => stage.pace(speed)));
  const scrub = el("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": "Time", class: "sk-scrub",
    oninput: () => stage.seek(+scrub.value / 1000 * stage.edge()) });
  const time = el("output", { class: "sk-clock" }), caption = el("p", { class: "sk-caption", role: "status" });
  const root = el("div", { class: "sk-player", role: "group", "aria-label": "Player" },
    el("div", { class: "sk-buttons" }, button(icon("back"), "Previous event (,)", () => stage.step(-1)), play,
      button(icon("ahead"), "Next event (.)", () => stage.step(1)), button(icon("replay"), "Replay from the start", () => stage.replay())),
    scrub, time, el("div", { class: "sk-buttons", role: "group", "aria-label": "Speed" }, ...speeds), live, caption);
  return { root, draw() {
    const edge = stage.edge();
    set(play.firstChild.firstChild, "d", ICONS[clock.playing ? "pause" : "play"]);
    set(play, "aria-label", clock.playing ? "Pause (space)" : "Play (space)");
    set(play, "title", clock.playing ? "Pause (space)" : "Play (space)");
    speeds.forEach((node, n) => set(node, "aria-pressed", SPEEDS[n][0] === clock.speed ? "true" : "false"));
    set(live, "hidden", !stage.isLive());
    set(live, "aria-pressed", clock.following ? "true" : "false");
    const value = edge ? Math.round(1000 * clock.t / edge) : 0;
    if (+scrub.value !== value) scrub.value = value;
    set(scrub, "aria-valuetext", `${clock.t.toFixed(1)} of ${edge.toFixed(1)} seconds`);
    say(time, `${clock.t.toFixed(2)} / ${edge.toFixed(1)} s`);
    say(caption, clock.caption || "");
  } };
}

/** One clock, one animation frame, any number of kitchens. `emit(name, value)` tells the host of a user's choice. */
export function createKitchens(root, { emit = () => {} } = {}) {
  const clock = { t: 0, playing: false, speed: 1, following: false, caption: "" }, quiet = matchMedia("(prefers-reduced-motion: reduce)");
  const wrapper = el("div", { class: "sk", tabindex: -1 }), floor = el("div", { class: "sk-kitchens" }), views = new Map();
  let frame = 0, timer = 0, before = 0, seen = true, gone = false;

  const stage = {
    clock,
    edge: () => Math.max(0, ...[...views.values()].map((view) => view.edge())),
    isLive: () => [...views.values()].some((view) => view.isLive()),
    /** Where "live" is: at the run that is going on. One that is over beside it is replayed in step with it. */
    front() {
      const running = [...views.values()].filter((view) => view.isRunning()).map((view) => view.edge());
      return running.length ? Math.max(...running) : stage.edge();
    },
    toggle() {
      if (!clock.playing && !stage.isLive() && clock.t >= stage.edge()) clock.t = stage.opening();
      Object.assign(clock, { playing: !clock.playing, following: false, caption: "" });
      before = 0;
      wake();
    },
    follow() { Object.assign(clock, { following: true, playing: true, speed: 1, caption: "" }); wake(); },
    pace(speed) { clock.speed = speed; if (speed !== 1) clock.following = false; wake(); },
    seek(t) { clock.t = Math.max(0, Math.min(t, stage.edge())); clock.following = false; clock.caption = ""; wake(true); },
    replay() { clock.t = stage.opening(); Object.assign(clock, { playing: true, following: false, caption: "" }); before = 0; wake(true); },
    opening: () => Math.max(0, Math.min(...[...views.values()].map((view) => view.log.start)) - 0.02) || 0,
    step(way) {
      const near = [...views.values()].map((view) => neighbour(view.log, clock.t, way)).filter(Boolean);
      Object.assign(clock, { playing: false, following: false });
      if (!near.length) { wake(true); return; }
      const t = way > 0 ? Math.min(...near.map((one) => one.t)) : Math.max(...near.map((one) => one.t));
      Object.assign(clock, { t, caption: `${t.toFixed(3)} s: ${near.filter((one) => one.t === t).map((one) => one.says).join("; ")}` });
      wake(true);
    },
  };
  const controls = player(stage), sheet = el("style");
  sheet.textContent = CSS;
  wrapper.append(sheet, floor, controls.root);
  root.append(wrapper);

  const draw = (force) => { for (const view of views.values()) view.scene.draw(view.edge(), force); controls.draw(); set(wrapper, "data-playing", clock.playing); };
  function tick(now) {
    frame = 0;
    const passed = before ? Math.min(0.25, (now - before) / 1000) : 0, edge = stage.edge();
    before = now;
    if (clock.playing && clock.following) clock.t = stage.front() < clock.t - 1 ? stage.front() : Math.max(clock.t, stage.front());
    else if (clock.playing) clock.t = Math.min(edge, clock.t + passed * clock.speed);
    if (clock.playing && clock.t >= edge) { if (stage.isLive()) clock.following = clock.speed >= 1; else clock.playing = false; }
    draw(!clock.playing);
    if (!clock.playing) { before = 0; return; }
    if (quiet.matches || (clock.following && [...views.values()].every((view) => view.idle()))) timer = setTimeout(wake, 250); else wake();
  }
  function wake(force) {
    if (gone) return;
    if (force === true && !clock.playing) before = 0;
    clearTimeout(timer);
    if (!frame && seen) frame = requestAnimationFrame(tick);
  }

  const sizes = new ResizeObserver((entries) => {
    for (const view of views.values()) for (const { target, contentRect } of entries) if (view.widths.has(target)) view.widths.set(target, contentRect.width);
    wake();
  });
  // on a busy machine the scene is away and back, or back and away, before this hears of it: the last counts
  const sight = new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; if (seen) wake(); else { cancelAnimationFrame(frame); frame = 0; } });
  sight.observe(wrapper);
  const restyle = () => paint(wrapper);
  const themes = new MutationObserver(restyle);
  const attributeFilter = ["class", "style", "data-theme", "data-jp-theme-light"];
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true, attributeFilter });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", restyle);
  quiet.addEventListener("change", wake);
  wrapper.addEventListener("keydown", (event) => {
    const at = event.composedPath()[0], press = { " ": () => stage.toggle(), ",": () => stage.step(-1), ".": () => stage.step(1) }[event.key];
    if (!press || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && at.closest?.("button, summary"))) return;
    event.preventDefault();
    press();
  });
  wrapper.addEventListener("toggle", () => wake(true), true);

  function newView(spec) {
    const view = { id: spec.id, log: newLog(), clock, widths: new Map(), common: 0.25, can: [], feed: null, over: false, offset: null, key: null, emit,
      isLive: () => !!view.feed && !view.over,
      isRunning: () => view.isLive() && view.offset != null, // before that it waits for its turn
      edge() {
        if (!view.isLive()) return view.log.end + (view.log.end ? TAIL_S : 0);
        if (view.offset == null) return view.log.end;
        return Math.max(0, (view.feed.isOpen() ? performance.now() / 1000 + view.offset : view.heardAt) - LIVE_LAG_S); // deaf is not stalled
      },
      offers: (what) => view.can.includes(what) && view.isLive() && (clock.following || clock.t > view.edge() - 0.5),
      idle: () => { for (const order of view.log.orders.values()) if (order.t1 == null || order.t1 > clock.t) return false; return true; },
      send: (command) => view.feed?.send(command),
      order(command) { view.send(command); wrapper.focus({ preventScroll: true }); }, // the button pressed will soon be gone
      seek: stage.seek,
      crowd: () => views.size,
      watch(node) { view.widths.set(node, 0); sizes.observe(node); },
      get reduced() { return quiet.matches; },
      says: () => (view.isLive() ? (view.isRunning() || !view.feed.isOpen() ? view.feed.says() : "waiting for its turn") : view.note),
    };
    view.scene = kitchen(view);
    return view;
  }

  function hear(view, message) {
    if (message.now != null) { view.heardAt = message.now; view.offset = Math.max(view.offset ?? -Infinity, message.now - performance.now() / 1000); }
    if (message.motions) ingest(view.log, message.motions);
    if (message.over) { view.over = true; view.feed?.close(); }
    wake();
  }

  /** Take what the page sends, as often as it sends it: only a new run starts anew. `motions` may be JSON: a long run
   *  costs the page less so. */
  function take(view, spec, data) {
    Object.assign(view, { title: spec.title || "", note: spec.note || "", simulated: spec.simulated, ruler: spec.ruler || data.ruler || [], can: data.can || [] });
    const key = JSON.stringify([spec.stream, spec.run, spec.motions?.length, spec.motions?.at(-1)]);
    if (key === view.key) return false;
    const sameRun = view.key && (spec.run != null ? spec.run === view.run : view.stream && (!spec.stream || spec.stream === view.stream));
    const sameStream = spec.stream && spec.stream === view.stream;
    Object.assign(view, { key, run: spec.run });
    if (!sameStream) { view.feed?.close(); Object.assign(view, { feed: null, offset: null, over: false, stream: spec.stream }); }
    if (spec.motions || !sameRun) { view.log = newLog(); view.log.deployment = spec.deployment; view.log.pause = spec.simulated ? 0 : PAUSE_S; ingest(view.log, typeof spec.motions === "string" ? JSON.parse(spec.motions) : spec.motions || []); }
    if (spec.stream && !sameStream) view.feed = openFeed(spec.stream, spec.seq, (message) => hear(view, message), wake);
    return !sameRun;
  }

  function update(data) {
    let fresh = false;
    const wanted = new Set((data.kitchens || []).map((spec) => spec.id));
    for (const [id, view] of views) if (!wanted.has(id)) { view.feed?.close(); view.scene.root.remove(); views.delete(id); }
    for (const spec of data.kitchens || []) {
      if (!views.has(spec.id)) { views.set(spec.id, newView(spec)); floor.append(views.get(spec.id).scene.root); }
      fresh = take(views.get(spec.id), spec, data) || fresh;
    }
    set(floor, "data-count", `${views.size}`);
    if (fresh) { if (stage.isLive()) stage.follow(); else stage.replay(); clock.t = stage.isLive() ? 0 : clock.t; clock.speed = data.speed || clock.speed; }
    restyle();
    wake(true);
  }

  /** To another place in the document, in the middle of whatever it plays. */
  function move(place) { place.append(wrapper); restyle(); wake(true); }

  function destroy() {
    gone = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    for (const view of views.values()) view.feed?.close();
    for (const observer of [sizes, sight, themes]) observer.disconnect();
    dark.removeEventListener("change", restyle);
    quiet.removeEventListener("change", wake);
    wrapper.remove();
  }
  return { update, move, destroy, hear: (id, message) => views.has(id) && hear(views.get(id), message), stage };
}

/** The nearest moment before or after t at which something happened, and what. */
function neighbour(log, t, way) {
  const all = happened(log), at = way > 0 ? until(all, t + 1e-9) : until(all, t - 1e-9) - 1;
  if (!all[at]) return null;
  const when = all[at].t, first = way > 0 ? at : until(all, when - 1e-9), says = [];
  for (let n = first; n < all.length && all[n].t === when; n += 1) says.push(typeof all[n].what === "function" ? all[n].what() : all[n].what);
  return { t: when, says: says.length > 3 ? `${says.slice(0, 3).join("; ")}; and ${says.length - 3} more` : says.join("; ") };
}

/** Light or dark follows from the colour that is really behind the scene. */
function paint(wrapper) {
  let paper = null;
  for (let node = wrapper.parentNode; node && !paper; node = node.parentNode || node.host) {
    if (!(node instanceof Element)) continue;
    const colour = getComputedStyle(node).backgroundColor, parts = (colour.match(/[\d.]+/g) || []).map(Number);
    if (parts.length >= 3 && (parts[3] ?? 1) > 0.5) paper = colour.startsWith("color(") ? parts.slice(0, 3).map((part) => part * 255) : parts.slice(0, 3);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");
  paper ||= dark ? [18, 18, 18] : [255, 255, 255];
  const [r, g, b] = paper;
  wrapper.style.setProperty("--paper", `rgb(${r} ${g} ${b})`);
  set(wrapper, "data-theme", 0.2126 * r + 0.7152 * g + 0.0722 * b < 128 ? "dark" : "light");
}
