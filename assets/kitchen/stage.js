// The stage: one clock and one animation frame for any number of kitchens, and the page that they stand on.

const RARE_S = 0.25; // between two frames where nothing moves, or where frames are dear
/** One clock, one animation frame, any number of kitchens. `emit(name, value)` tells the host of a user's choice. */
export function createKitchens(root, { emit = () => {} } = {}) {
  const clock = { t: 0, playing: false, speed: 1, following: false, caption: "", until: Infinity },
    quiet = matchMedia("(prefers-reduced-motion: reduce)");
  const wrapper = h2("div", "sk"),
    floor = h2("div", "sk-kitchens"),
    intro = canvas(wrapper),
    views = new Map();
  wrapper.tabIndex = -1;
  let frame = 0,
    timer = 0,
    before = 0,
    seen = true,
    gone = false;

  const stage = {
    clock,
    edge: () => Math.max(0, ...[...views.values()].map((view) => view.edge())),
    isLive: () => [...views.values()].some((view) => view.isLive()),
    /** Where "live" is: at the run that is going on. One that is over beside it is replayed in step with it. */
    front() {
      const running = [...views.values()].filter((view) => view.isRunning()).map((view) => view.edge());
      return running.length ? Math.max(...running) : stage.edge();
    },
    spares: () => clock.following && [...views.values()].some((view) => view.crowded && view.isRunning()),
    toggle() {
      if (!clock.playing && !stage.isLive() && clock.t >= stage.edge()) clock.t = stage.opening();
      Object.assign(clock, { playing: !clock.playing, following: false, caption: "", until: Infinity });
      before = 0;
      wake();
    },
    /** Play until then, and stand still there: for who has to decide something. */
    runTo(t, speed) {
      Object.assign(clock, { playing: true, following: false, caption: "", until: t, speed });
      before = 0;
      wake();
    },
    follow() {
      Object.assign(clock, { until: Infinity, following: true, playing: true, speed: 1, caption: "" });
      wake();
    },
    pace(speed) {
      clock.speed = speed;
      if (speed !== 1) clock.following = false;
      wake();
    },
    seek(t) {
      clock.t = Math.max(0, Math.min(t, stage.edge()));
      clock.following = false;
      clock.caption = "";
      clock.until = Infinity;
      wake(true);
    },
    replay() {
      clock.t = stage.opening();
      Object.assign(clock, { playing: true, following: false, caption: "", until: Infinity });
      before = 0;
      wake(true);
    },
    draw: () => draw(true), // at once, for whoever does not want to wait for a frame
    opening: () => Math.max(0, Math.min(...[...views.values()].map((view) => view.log.start)) - 0.02) || 0,
    step(way) {
      const near = [...views.values()].map((view) => neighbour(view.log, clock.t, way)).filter(Boolean);
      Object.assign(clock, { playing: false, following: false });
      if (!near.length) {
        wake(true);
        return;
      }
      const t = way > 0 ? Math.min(...near.map((one) => one.t)) : Math.max(...near.map((one) => one.t));
      Object.assign(clock, {
        t,
        caption: `${t.toFixed(3)} s: ${near
          .filter((one) => one.t === t)
          .map((one) => one.says)
          .join("; ")}`,
      });
      wake(true);
    },
  };
  const controls = player(stage),
    sheet = document.createElement("style"),
    after = h2("div", "sk-after"),
    putAfter = canvas(after);
  sheet.textContent = CSS;
  wrapper.append(sheet);
  intro(h("p", { class: "sk-intro" }, ""));
  wrapper.append(mount(patterns()).node, floor, controls.root, after);
  root.append(wrapper);

  const draw = (force) => {
    for (const view of views.values()) view.scene.draw(view.edge(), force);
    controls.draw();
    mark(wrapper, "data-playing", clock.playing && !stage.spares());
    drawAfter();
  };
  let toldOf = "";
  /** What is told of whole runs: of two, how they compare. */
  function drawAfter() {
    const all = [...views.values()],
      told = all.length === 2 && all.every(isWhole),
      seen = JSON.stringify([
        penTurn,
        ...all.map((view) => [view.id, view.title, view.note, view.machine, view.isLive(), view.log.version]),
      ]);
    if (seen === toldOf) return; // the same runs: a frame changes nothing here
    toldOf = seen;
    putAfter(
      h(
        "div",
        { class: "sk-told" },
        told ? verdict(all) : null,
        all.map((view) =>
          h(
            "div",
            { key: view.id },
            cards(
              view,
              (t) => {
                stage.seek(t);
                wrapper.scrollIntoView({ block: "start" });
              },
              all.length > 1 ? view.title : "",
            ),
          ),
        ),
      ),
    );
  }
  function tick(now) {
    frame = 0;
    const passed = before ? Math.min(0.25, (now - before) / 1000) : 0,
      edge = Math.min(stage.edge(), clock.until);
    before = now;
    if (clock.playing && clock.following)
      clock.t = stage.front() < clock.t - 1 ? stage.front() : Math.max(clock.t, stage.front());
    else if (clock.playing) clock.t = Math.min(edge, clock.t + passed * clock.speed);
    if (clock.playing && clock.t >= edge) {
      if (stage.isLive()) clock.following = clock.speed >= 1;
      else {
        clock.playing = false;
        if (clock.until < Infinity) clock.speed = 1;
      }
    }
    draw(!clock.playing);
    if (!clock.playing) {
      before = 0;
      return;
    }
    const idle = clock.following && [...views.values()].every((view) => view.idle());
    if (stage.spares() || quiet.matches || idle) timer = setTimeout(rested, RARE_S * 1000);
    else wake();
  }
  function rested() {
    timer = 0;
    wake();
  }
  function wake(force) {
    if (gone) return;
    if (force === true && !clock.playing) before = 0;
    if (timer && force !== true && stage.spares()) return;
    clearTimeout(timer);
    timer = 0;
    if (!frame && seen) frame = requestAnimationFrame(tick);
  }

  const sizes = new ResizeObserver((entries) => {
    for (const view of views.values())
      for (const { target, contentRect } of entries) if (view.widths.has(target)) view.widths.set(target, contentRect.width);
    wake();
  });
  // on a busy machine the scene is away and back, or back and away, before this hears of it: the last counts
  const sight = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen) wake();
    else {
      cancelAnimationFrame(frame);
      frame = 0;
    }
  });
  sight.observe(wrapper);
  const refont = () => {
    setFont("");
    restyle();
    wake(true);
  };
  document.fonts?.addEventListener?.("loadingdone", refont); // words are as wide as they are in the font that has come
  const restyle = () => paint(wrapper),
    restyled = onRestyle(restyle);
  quiet.addEventListener("change", wake);
  wrapper.addEventListener("keydown", (event) => {
    const at = event.composedPath()[0],
      press = { " ": () => stage.toggle(), ",": () => stage.step(-1), ".": () => stage.step(1) }[event.key];
    if (!press || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && at.closest?.("button, summary")))
      return;
    event.preventDefault();
    press();
  });
  wrapper.addEventListener("toggle", () => wake(true), true);

  function update(data) {
    let fresh = false;
    spanLinks(data.links);
    const wanted = new Set((data.kitchens || []).map((spec) => spec.id));
    for (const [id, view] of views)
      if (!wanted.has(id)) {
        view.feed?.close();
        view.scene.root.remove();
        views.delete(id);
      }
    for (const spec of data.kitchens || []) {
      if (!views.has(spec.id)) {
        views.set(spec.id, newView(spec.id, stage, { wrapper, views, sizes, emit, wake, quiet }));
        floor.append(views.get(spec.id).scene.root);
      }
      fresh = views.get(spec.id).take(spec, data) || fresh;
    }
    mark(floor, "data-count", `${views.size}`);
    intro(h("p", { class: "sk-intro" }, data.intro ?? INTRO));
    mark(wrapper, "data-wall", !!data.wall);
    wrapper.style.zoom = data.scale || 1;
    if (fresh) {
      if (stage.isLive()) stage.follow();
      else stage.replay();
      clock.t = stage.isLive() ? 0 : clock.t;
      if (data.speed) stage.pace(data.speed);
    }
    restyle();
    wake(true);
  }

  /** To another place in the document, in the middle of whatever it plays. */
  function move(place) {
    place.append(wrapper);
    restyle();
    wake(true);
  }

  function destroy() {
    gone = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    for (const view of views.values()) view.feed?.close();
    for (const observer of [sizes, sight]) observer.disconnect();
    restyled();
    document.fonts?.removeEventListener?.("loadingdone", refont);
    quiet.removeEventListener("change", wake);
    wrapper.remove();
  }
  return { update, move, destroy, stage };
}
