// Where Streamlit's page finds its server: beside this page, whatever page was asked for and below whatever path a proxy has
// put the lab. Else it looks below that page first, which is a failed request or two, and asks for a configuration before it
// opens its socket.
//
// A page whose socket does not open is blank, or waits for ever. So after two that did not, and when the last one has
// closed and none has followed, the lab is asked why, and the answer is put over the page; or that the lab does not answer.
{
  const here = new URL(".", location.href).href, TRIES = 2, BACK_MS = 4000;
  window.__streamlit = {
    BACKEND_BASE_URL: here,
    HOST_CONFIG: { allowedOrigins: [location.origin], useExternalAuthToken: false },
  };

  const BLOCKED =
    "This page reaches the lab, but its live connection (a WebSocket) does not get through: something between, a proxy or " +
    "a filter, blocks it. Whoever runs it must let WebSockets pass (nginx: proxy_http_version 1.1, and the headers Upgrade " +
    "and Connection); or try another network.";
  const AWAY =
    "The lab does not answer: it has stopped, or the network to it is down. This page tries again by itself, and goes on when " +
    "the lab is back; guesses and votes that are locked are kept. If it stays away, tell whoever runs the lab.";
  let live = 0, failed = 0, blocked = 0, notice = null;

  async function ask() {
    let said = "";
    try {
      const answer = await fetch(new URL("lab/door", here), { method: "POST" });
      if ([403, 421, 429].includes(answer.status)) said = await answer.text();
      else if (answer.ok && ++blocked >= TRIES) said = BLOCKED;   // once only: the lab may have come back just now
      else if (answer.status >= 502 && answer.status <= 504) said = AWAY;  // says a proxy
    } catch { blocked = 0; said = AWAY; }
    if (said && !live) show(said);
  }
  function show(said) {
    if (!notice) {
      notice = document.createElement("p");
      notice.setAttribute("role", "alert");
      notice.style.cssText = "position: fixed; inset: 0 0 auto; z-index: 1000001; margin: 0; padding: 12px 16px; " +
        "font: 16px/1.5 sans-serif; overflow-wrap: anywhere; background: #fff4d6; color: #2f2d2b; border-bottom: 2px solid #b7791f;";
      document.body.append(notice);
    }
    notice.textContent = said;
  }
  function reached() {
    live++;
    failed = blocked = 0;
    notice?.remove();
    notice = null;
  }
  window.WebSocket = class extends WebSocket {
    constructor(...where) {
      super(...where);
      let opened = false;
      this.addEventListener("open", () => { opened = true; reached(); });
      this.addEventListener("close", () => {
        if (opened) --live || setTimeout(() => live || ask(), BACK_MS);   // Streamlit opens no other before the lab answers
        else if (++failed >= TRIES && !live) ask();
      });
    }
  };
}
