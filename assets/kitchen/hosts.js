// Where motions come from: a stream of one run, or of several, each after the next `kitchen` message.

function openFeed(path, since, sparing, hear, changed) {
  let seq = since || 0,
    socket = null,
    closed = false,
    wait = 400,
    timer = 0;
  function connect() {
    const url = new URL(`.${path}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    if (seq) url.searchParams.set("since", seq);
    if (sparing) url.searchParams.set("sparing", 1);
    socket = new WebSocket(url);
    socket.onopen = changed;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      wait = 400;
      if (message.kitchen) seq = 0;
      if (message.seq != null && message.seq <= seq) return;
      seq = message.seq ?? seq;
      hear(message);
    };
    socket.onclose = () => {
      if (closed) return;
      changed();
      timer = setTimeout(connect, wait);
      wait = Math.min(5000, wait * 2);
    };
  }
  connect();
  return {
    send(command) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
    },
    isOpen: () => socket.readyState === WebSocket.OPEN,
    says: () => (socket.readyState === WebSocket.OPEN ? "live" : "connecting…"),
    close() {
      closed = true;
      clearTimeout(timer);
      socket.close();
    },
  };
}

// ---- where the scene is mounted

const MOUNTED = new WeakMap();

/** Streamlit calls this again on every change of data or theme; the scene stays. When changes follow each other closely it
 *  also cleans up after a call that a later one has overtaken: by then the scene is the later call's. */
function mountStreamlit(component) {
  const { parentElement, data } = component;
  let mounted = MOUNTED.get(parentElement);
  if (!mounted) {
    mounted = { component };
    const emit = (name, value) => mounted.component.setStateValue?.(name, value);
    mounted.scene = takeOver(parentElement, emit) || createKitchens(parentElement, { emit });
    MOUNTED.set(parentElement, mounted);
  }
  mounted.component = component;
  mounted.scene.update(data || {});
  return () => {
    if (mounted.component === component) {
      mounted.scene.destroy();
      MOUNTED.delete(parentElement);
    }
  };
}

/** The kitchen that has played while Streamlit was loading (assets/opening.js), if there is one. Streamlit may keep what it
 *  has built hidden for some frames. */
function takeOver(parentElement, emit) {
  const opening = globalThis.splitKitchenOpening,
    place = parentElement.host || parentElement;
  if (!opening) return null;
  delete globalThis.splitKitchenOpening;
  opening.emit = emit;
  const sight = new ResizeObserver(() => {
    if (!place.clientWidth) return;
    sight.disconnect();
    opening.scene.move(parentElement);
    opening.cover.remove();
  });
  sight.observe(place);
  return opening.scene;
}

export default mountStreamlit;
