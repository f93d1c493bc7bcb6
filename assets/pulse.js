// The line that says how a class or the runs of a lesson stand, kept true by a socket; and the page drawn again when there is
// something else to show.
//
// data: {stream, at, says, done}; at: what the page showed when it was drawn. Emits `heard` to be drawn anew.

const LONGEST_MS = 5000, SHORTEST_MS = 400;   // between two tries to connect
const UNKNOWN = 4404;

function createPulse(root, { emit }) {
  const line = document.createElement("p"), bar = document.createElement("div"), share = document.createElement("div");
  line.style.cssText = "margin: 0; font-size: .875rem; opacity: .85; font-variant-numeric: tabular-nums;";
  bar.style.cssText = "height: 6px; margin-top: .4rem; border-radius: 3px; overflow: hidden; background: color-mix(in srgb, currentColor 20%, transparent);";
  share.style.cssText = "height: 100%; background: var(--st-primary-color, #0072b2);";
  bar.setAttribute("role", "progressbar"); // a real one is light on dark pages, and looks full
  bar.setAttribute("aria-label", "How much of the run is done");
  bar.append(share);
  root.append(line, bar);
  let data, socket, timer, closed = false, wait = SHORTEST_MS, times = 0;

  function show({ says, done }) {
    line.textContent = says;
    bar.hidden = done == null;
    const percent = Math.round(100 * (done ?? 0));
    share.style.width = `${percent}%`;
    bar.setAttribute("aria-valuenow", percent);
  }
  function connect() {
    const url = new URL(`.${data.stream}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    socket = new WebSocket(url);
    socket.onopen = drawn;
    socket.onmessage = ({ data: text }) => {
      const heard = JSON.parse(text);
      wait = SHORTEST_MS;
      if (heard.says != null) show(heard);
      if (heard.anew != null) emit("heard", `${heard.anew} ${++times}`);   // never the same twice: it may be told twice
    };
    socket.onclose = ({ code }) => {
      if (closed || code === UNKNOWN) return;
      timer = setTimeout(connect, wait * (0.5 + Math.random()));           // not everybody in the same moment
      wait = Math.min(LONGEST_MS, wait * 2);
    };
  }
  function drawn() { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ at: data.at })); }
  function close() { closed = true; clearTimeout(timer); socket?.close(); }

  return {
    update(next) {
      const before = data;
      data = next;
      if (before?.at === data.at && before?.stream === data.stream) return;
      show(data);
      if (before?.stream !== data.stream) { close(); closed = false; connect(); }
      else drawn();
    },
    destroy() { close(); line.remove(); bar.remove(); },
  };
}

export default mounting(createPulse);
