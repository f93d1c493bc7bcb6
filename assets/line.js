// The line to a class (lab/classroom/live_updates.py): how it stands, and what is to be seen of it. One that breaks is made again.
// Whether it is open may change: then the window hears "line". And the ways between a class's pages.

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

const lineIsOpen = () => socket?.readyState === WebSocket.OPEN;

function connect(room, { me, sees }, heard, unknown) {
  const url = new URL(`lab/class?room=${room}&sees=${sees}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  if (["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) url.searchParams.set("here", 1);   // as in assets/kitchen/view.js
  const line = socket = new WebSocket(url);
  line.onopen = () => {
    if (me) line.send(JSON.stringify({ me }));
    dispatchEvent(new Event("line"));
  };
  line.onmessage = ({ data }) => {
    wait = SHORTEST_MS;
    heard(JSON.parse(data));
  };
  line.onclose = ({ code }) => {
    if (line !== socket || following !== room) return;
    dispatchEvent(new Event("line"));
    if (code === UNKNOWN_CLASS) { unknown(); return; }
    setTimeout(() => following === room && connect(room, { me, sees }, heard, unknown), wait * (0.5 + Math.random()));
    wait = Math.min(LONGEST_MS, wait * 2);
  };
}


// ---- from page to page: a learner whom no cookie names is named by the page that one comes from, in a form; addresses are written down

function visit(address, me) {
  if (!me) { location.replace(address); return; }
  const form = document.createElement("form"), field = document.createElement("input");
  Object.assign(form, { method: "post", action: address });
  Object.assign(field, { type: "hidden", name: "me", value: me });
  form.append(field);
  document.body.append(form);
  form.submit();
}

/** Links to the class and to the game do so. To load the page once more asks for it, and does not send the form again. */
function takeAlong(me) {
  if (!me) return;
  history.replaceState(history.state, "");
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='./join'], a[href^='./play']");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    visit(link.href, me);
  });
}
