// The line to a class (lab/classroom/live_updates.py): how it stands, and what is to be seen of it. One that breaks is made again.

const SHORTEST_MS = 400, LONGEST_MS = 5000;    // between two tries to connect
const UNKNOWN_CLASS = 4404;
let socket = null, wait = SHORTEST_MS, following = "";

/** `room`: "" to follow none. `who`: a learner (`me`) that no cookie names, and as what the page `sees` the class. */
function follow(room, who, heard, unknown) {
  if (room === following) return;
  following = room;
  socket?.close();
  if (room) connect(room, who, heard, unknown);
}

function connect(room, { me, sees }, heard, unknown) {
  const url = new URL(`lab/class?room=${room}&sees=${sees}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const line = socket = new WebSocket(url);
  line.onopen = () => me && line.send(JSON.stringify({ me }));
  line.onmessage = ({ data }) => {
    wait = SHORTEST_MS;
    heard(JSON.parse(data));
  };
  line.onclose = ({ code }) => {
    if (line !== socket || following !== room) return;
    if (code === UNKNOWN_CLASS) { unknown(); return; }
    setTimeout(() => following === room && connect(room, { me, sees }, heard, unknown), wait * (0.5 + Math.random()));
    wait = Math.min(LONGEST_MS, wait * 2);
  };
}

