
// The front page before Streamlit is there (lab/web/landing.py): a recorded kitchen, at work. Streamlit's page takes the scene over
// as it is (takeOver in assets/kitchen/hosts.js); should it never come for it, what it has to say must not stay covered.
{
  const PATIENCE_MS = 10_000, cover = document.getElementById("opening"), opening = { cover, emit: () => {} };
  // Streamlit's modules would be compiled by the thread that draws the first frames. A tab in the background draws none.
  const letStreamlitIn = () => document.head.append(document.getElementById("streamlit").content);
  const soon = () => document.hidden ? letStreamlitIn() : requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(letStreamlitIn)));
  setTimeout(() => cover.remove(), PATIENCE_MS);
  import(document.getElementById("opening-scene").href).then(({ createKitchens }) => {
    opening.scene = createKitchens(document.getElementById("opening-kitchen"), { emit: (...said) => opening.emit(...said) });
    opening.scene.update(JSON.parse(document.getElementById("opening-data").textContent));
    globalThis.splitKitchenOpening = opening;
  }).finally(soon);
}
