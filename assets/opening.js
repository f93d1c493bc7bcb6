// The front page before Streamlit is there (lab/opening.py): a recorded kitchen, at work. Streamlit's page takes the
// scene over as it is (takeOver in kitchen.js); should it never come for it, what it has to say must not stay covered.

import { createKitchens } from "./kitchen.js";

const PATIENCE_MS = 10_000;

const cover = document.getElementById("opening");
const opening = { cover, emit: () => {} };
opening.scene = createKitchens(document.getElementById("opening-kitchen"), { emit: (...said) => opening.emit(...said) });
opening.scene.update(JSON.parse(document.getElementById("opening-data").textContent));
globalThis.splitKitchenOpening = opening;
setTimeout(() => cover.remove(), PATIENCE_MS);
