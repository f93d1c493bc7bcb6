// HTML that the lab has drawn (lab/course/chart_html.py), as it is: Streamlit takes SVG out of a page's own HTML.
//
// data: {html}

function createMarkup(root) {
  const box = document.createElement("div");
  let shown = "";
  root.append(box);
  return {
    update({ html }) {
      if (html === shown) return;      // a change of theme, or a rerun: a table that was opened stays open
      shown = box.innerHTML = html;
    },
    destroy() { box.remove(); },
  };
}

export default mounting(createMarkup);
