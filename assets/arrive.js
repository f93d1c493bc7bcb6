// When the page shows another step, go to its heading: to the eye by scrolling, to keyboard and screen reader by focus.
//
// data: {step}; the heading is the one inside Streamlit's container of the key "arrive".

const SETTLE_MS = 150;    // the rest of the page is drawn by then
const SEEN = new WeakMap();

export default function arrive({ parentElement, data }) {
  const before = SEEN.get(parentElement);
  SEEN.set(parentElement, data.step);
  if (before === undefined || before === data.step) return;
  setTimeout(go, SETTLE_MS);
}

function go() {
  const heading = document.querySelector(".st-key-arrive :is(h2, h3, h4)");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.style.outline = "none";
  heading.style.scrollMarginTop = "80px";
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "start" });
}
