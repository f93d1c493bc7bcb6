// When the page shows another step, go to where it begins: to the eye by scrolling, to keyboard and screen reader by
// focus.
//
// data: {step, at}; it begins with the heading, or the line, in Streamlit's container of the key `at`.

const SETTLE_MS = 150;    // the rest of the page is drawn by then
const SEEN = new WeakMap();

export default function arrive({ parentElement, data }) {
  const before = SEEN.get(parentElement);
  SEEN.set(parentElement, data.step);
  if (before === undefined || before === data.step) return;
  setTimeout(go, SETTLE_MS, data.at);
}

function go(at) {
  const heading = document.querySelector(`.st-key-${at} :is(h2, h3, h4, p)`);
  if (!heading) return;
  heading.tabIndex = -1;
  heading.style.outline = "none";
  heading.style.scrollMarginTop = "80px";
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "start" });
}
