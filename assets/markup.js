// HTML that the lab has drawn (lab/course/chart_html.py), as it is: Streamlit takes SVG out of a page's own HTML.
//
// data: {html}, and where it has drawings of the scene in it, the address of the scene's `module`

function createMarkup(root) {
  const box = document.createElement("div");
  let shown = "";
  root.append(box);
  return {
    update({ html, module }) {
      if (html === shown) return;      // a change of theme, or a rerun: a table that was opened stays open
      shown = box.innerHTML = html;
      if (module) import(new URL(module, document.baseURI));
    },
    destroy() { box.remove(); },
  };
}

export default mounting(createMarkup);
