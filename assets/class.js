// A learner's page of a class, after assets/live.js: the form, which keeps what is filled in, and what its learner sends.

let form = null;

function shown() {
  at("why").textContent = "";
  showForm();
  if (places.has("join") && !places.get("join").firstChild) places.get("join").append(joinForm());
  const [where, does] = page.bar || ["", ""];
  at("bar-where").textContent = where && `${where} ·`;
  at("bar-does").textContent = does;
  at("bar").hidden = page.step === "join";
}

function unknown() { send("look"); }

function staged(data) { return data; }

// ---- drafts: in the tab's own memory, where the browser allows it

const drafts = {
  read(key) { try { return JSON.parse(sessionStorage.getItem(key)) || {}; } catch { return {}; } },
  write(key, draft) { try { sessionStorage.setItem(key, JSON.stringify(draft)); } catch { /* this browser keeps nothing */ } },
};

// ---- the form

function showForm() {
  const place = places.get("form"), key = page.asked ? `draft ${page.room} ${page.asked.lesson} ${page.asked.round} ${page.asked.vote}` : "";
  if (!place || !page.form) {
    form = null;
    at("go").hidden = true;
    return;
  }
  at("go").hidden = false;
  if (form?.key === key) return;
  form = { key, draft: drafts.read(key), asked: page.asked };
  place.replaceChildren(guessForm());
}

function guessForm() {
  const { value, reasons } = page.form, { draft } = form, keep = (name, said) => { draft[name] = said; drafts.write(form.key, draft); };
  const choice = (name, legend, options) => {
    const set = el("fieldset", {}, el("legend", {}, legend));
    for (const [said, words] of options) {
      const radio = el("input", { type: "radio", name, value: said });
      radio.checked = draft[name] === said;
      radio.onchange = () => keep(name, said);
      set.append(el("label", {}, radio, " ", words));
    }
    return set;
  };
  const fields = el("form", { id: "guess", novalidate: "" });
  fields.onsubmit = lock;
  if (value.type === "choice") fields.append(choice("value", "Your guess", value.options));
  else {
    const root = el("div", { class: "drawn" });
    if (value.type === "curve") fields.append(el("p", {}, "Your guess: drag the points, or move each with the arrow keys."));
    fields.append(root);
    requestAnimationFrame(() => mount(value.type, root, { ...value, value: draft.value ?? null, values: draft.value ?? null }, (said) => keep("value", said)));
  }
  fields.append(choice("confidence", "How sure are you?", ["guessing", "fairly sure", "sure"].map((one) => [one, one])));
  if (reasons?.length) {
    const why = el("select", {}, el("option", { value: "" }, "Choose a reason"), ...reasons.map((one) => el("option", { value: one }, one)));
    why.value = draft.reason || "";
    why.onchange = () => keep("reason", why.value);
    fields.append(el("label", { class: "field" }, "Why? (optional) ", why));
  }
  const own = el("input", { maxlength: 240, autocomplete: "off" });
  own.value = draft.own || "";
  own.oninput = () => keep("own", own.value);
  fields.append(el("label", { class: "field" }, "In your own words (optional) ", own));
  return fields;
}

function lock(event) {
  event.preventDefault();
  const { value, confidence, reason, own } = form.draft, kind = page.form.value.type;
  const missing = [value == null && { number: "a number", choice: "an answer", curve: "a curve" }[kind], !confidence && "how sure you are"].filter(Boolean);
  if (missing.length) { at("why").textContent = `Still missing: ${missing.join(" and ")}.`; return; }
  const said = kind === "choice" ? value : [].concat(value).map(Number);
  const guess = { value: said, confidence, reason: [reason, own?.trim()].filter(Boolean).join(" — ").slice(0, 400) };
  send("vote", { vote: { asked: form.asked, guess } });
}

// ---- joining

/** By trying: a browser that blocks them may say that they are on. The lab's own cookie is for no script to see. */
function keepsCookies() {
  try {
    document.cookie = "split_kitchen_keeps=1; max-age=5; samesite=lax";
    return document.cookie.includes("split_kitchen_keeps");
  } catch { return false; }
}

function joinForm() {
  const code = el("input", { maxlength: 5, autocomplete: "off", autocapitalize: "characters", required: "" });
  const nickname = el("input", { maxlength: 24, autocomplete: "off" });
  code.value = given.room;
  const fields = el("form", { id: "join" },
    el("h1", { tabindex: -1, "data-arrive": "" }, "Join a class"),
    el("p", {}, "The code is on the projector. No account; your vote is shown to nobody with your name."),
    el("label", { class: "field" }, "Code ", code), el("label", { class: "field" }, "Nickname (optional) ", nickname),
    el("p", {}, el("small", {}, "The instructor sees it in the list of votes; the class only if you offer a run under it.")));
  if (me && !keepsCookies())
    fields.append(el("p", {}, "This browser keeps no cookie for this page: after a reload you would have to join once more."));
  fields.append(el("button", { type: "submit" }, "Join"), el("p", {}, el("a", { href: "./instructor" }, "I lead a class")));
  fields.onsubmit = (event) => { event.preventDefault(); send("join", { code: code.value, nickname: nickname.value }); };
  return fields;
}

// ---- what is sent

async function send(act, said = {}) {
  try {
    const answer = await fetch(new URL(`lab/class/${act}`, document.baseURI), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ me, room: given.room, ...said }) });
    const { page: next, why } = await answer.json();
    if (act === "join" && !why) given.room = "";
    show(next);
    at("why").textContent = why;
  } catch {
    at("why").textContent = "The lab does not answer. Nothing is lost of what you have filled in: try again in a moment.";
  }
}

document.addEventListener("click", ({ target }) => target.dataset?.act && send(target.dataset.act));

takeAlong(me);
show(given.page);
