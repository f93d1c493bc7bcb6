// A kitchen on the stage: the run that it shows, where that comes from, and what may be done in it.

/** A browser on the engine's own machine, where the workers need every core, disturbs the run that it shows: each frame
 *  that it paints is taken from a step. */
const isHere = () => ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** One kitchen on the stage. `views`: all that stand there. */
function newView(id, stage, { wrapper, views, sizes, emit, wake, quiet }) {
  const clock = stage.clock;
  const view = {
    id,
    key: `${views.size}-${(KEYS.next += 1)}`,
    log: newLog(),
    clock,
    widths: new Map(),
    can: [],
    feed: null,
    over: false,
    offset: null,
    taken: null,
    emit,
    crew: memo((_, roles) => crew(roles)),
    crewAt: (now) => view.crew(JSON.stringify(now.roles), now.roles),
    first: () => !views.size || views.values().next().value === view,
    window: (t) => windowOf(t, stage.edge()),
    to: () => stage.edge(),
    alone: () => views.size < 2,
    isLive: () => !!view.feed && !view.over,
    isRunning: () => view.isLive() && view.offset != null, // before that it waits for its turn
    edge() {
      if (!view.isLive()) return view.log.end + (view.log.end ? TAIL_S : 0);
      if (view.offset == null) return view.log.end;
      return Math.max(0, (view.feed.isOpen() ? performance.now() / 1000 + view.offset : view.heardAt) - LIVE_LAG_S); // deaf is not stalled
    },
    offers: (what) => view.can.includes(what) && view.isLive() && (clock.following || clock.t > view.edge() - 0.5),
    idle: () => {
      for (const order of view.log.orders.values()) if (order.t1 == null || order.t1 > clock.t) return false;
      return true;
    },
    send: (command) => view.feed?.send(command),
    order(command) {
      view.send(command);
      wrapper.focus({ preventScroll: true });
    }, // the button pressed will soon be gone
    seek: stage.seek,
    watch(node) {
      view.widths.set(node, 0);
      sizes.observe(node);
    },
    /** Whether what goes from one place to the next is seen on its way. */
    get glides() {
      return clock.playing && !quiet.matches && !stage.spares();
    },
    says: () =>
      view.isLive() ? (view.isRunning() || !view.feed.isOpen() ? view.feed.says() : "waiting for its turn") : view.note,
    take,
  };
  view.scene = kitchen(view);
  return view;

  function hear(message) {
    if (message.kitchen) {
      Object.assign(view, { taken: null, offset: null, over: false });
      take({ ...message.kitchen, stream: view.stream }, view);
      stage.follow();
      clock.t = 0;
    }
    if (message.now != null) {
      view.heardAt = message.now;
      view.offset = Math.max(view.offset ?? -Infinity, message.now - performance.now() / 1000);
    }
    if (message.motions) ingest(view.log, message.motions);
    if (message.note) view.note = message.note;
    if (message.over) {
      view.over = true;
      if (!message.more) view.feed?.close();
    }
    wake();
  }

  /** Take what the page sends, as often as it sends it: only a new run starts anew. `motions` may be JSON: a long run
   *  costs the page less so. */
  function take(spec, data) {
    Object.assign(view, {
      title: spec.title || "",
      note: spec.note || "",
      machine: spec.machine || "",
      simulated: spec.simulated,
      crowded: spec.crowded && isHere(),
      ruler: spec.ruler || data.ruler || [],
      ceiling: data.ceiling || null,
      can: data.can || [],
    });
    const key = JSON.stringify([spec.stream, spec.run, spec.motions?.length, spec.motions?.at(-1)]);
    if (key === view.taken) return false;
    const sameRun =
      view.taken && (spec.run != null ? spec.run === view.run : view.stream && (!spec.stream || spec.stream === view.stream));
    const sameStream = spec.stream && spec.stream === view.stream;
    Object.assign(view, { taken: key, run: spec.run });
    if (!sameStream) {
      view.feed?.close();
      Object.assign(view, { feed: null, offset: null, over: false, stream: spec.stream });
    }
    if (spec.motions || !sameRun) {
      view.log = newLog();
      view.log.deployment = spec.deployment;
      view.log.pause = spec.simulated ? 0 : PAUSE_S;
      ingest(view.log, typeof spec.motions === "string" ? JSON.parse(spec.motions) : spec.motions || []);
    }
    if (spec.stream && !sameStream) view.feed = (spec.open || openFeed)(spec.stream, spec.seq, view.crowded, hear, wake);
    return !sameRun;
  }
}
