// Words and numbers.

// A copy of lab.scene.words.stations(); a test keeps the two equal.
const WORDS = {
  "door": { "name": "Door", "serving": "waiting queue", "says": "Accepted orders hang here until a station takes them." },
  "prep": {
    "name": "Prep station",
    "serving": "prefill",
    "says": "Reads the whole prompt in one burst and fills a tray with its KV cache."
  },
  "pass": {
    "name": "The pass",
    "serving": "KV handoff over the interconnect",
    "says": "The road that trays take from prep to plating; a wider one carries more bytes per second."
  },
  "plating": {
    "name": "Plating line",
    "serving": "decode",
    "says": "Adds one token to every plate per step, again and again."
  },
  "cook": {
    "name": "All-round cook",
    "serving": "prefill and decode, co-located",
    "says": "The same worker preps and plates, and can do only one step at a time."
  },
  "portions": {
    "name": "Portioning cook",
    "serving": "chunked prefill and decode",
    "says": "A long prompt is cut into pieces, so that plating goes on between them."
  },
  "hatch": {
    "name": "Hatch",
    "serving": "a server, seen by its client",
    "says": "Orders go in, tokens come out. Who preps and who plates behind it cannot be seen from here."
  },
  "shelf": { "name": "Shelf", "serving": "KV blocks", "says": "Room for trays. When it is full, orders wait." },
  "served": { "name": "Served", "serving": "finished", "says": "The last token is out." }
};

const STATION_OF = { prefill_only: "prep", decode_only: "plating", prefill_first: "cook", chunked: "portions", unseen: "hatch" };
const TYPICAL = {
  disaggregated: [
    ["prep", "prefill_only"],
    ["plating", "decode_only"]
  ],
  chunked: [["cook", "chunked"]],
  colocated: [["cook", "prefill_first"]]
};
const DEPLOYMENTS = {
  colocated: "co-located",
  chunked: "chunked prefill",
  disaggregated: "disaggregated",
  endpoint: "seen from outside"
};
const NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

function secs(s, digits = 2) {
  if (s == null || !Number.isFinite(s)) return "–";
  if (s < 5e-7) return "0 s";
  if (s < 0.0000995) return `${Number((s * 1e6).toPrecision(2))} µs`;
  if (s < 0.0995) return `${(s * 1000).toFixed(s < 0.00995 ? 1 : 0)} ms`;
  return `${s.toFixed(s < 9.95 ? digits : 1)} s`;
}
/** A clock that runs: its unit does not change while one looks. */
const age = (s) => (s < 0.0995 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`);
function bytes(n) {
  if (n == null) return "–";
  const [unit, name] = n >= 1e9 ? [1e9, "GB"] : n >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${Number((n / unit).toPrecision(3))} ${name}`;
}
/** What the pass carries; before the run has said it, nobody knows. */
const carries = (link) => (link ? rate(link.bandwidth) : "–");
const rate = (n) => (n == null ? "unpaced" : n === 0 ? "nothing, it is cut" : `${bytes(n)}/s`);
const COUNT = new Intl.NumberFormat("en");
const whole = (n) => COUNT.format(n);
const many = (n, one, more = `${one}s`) => `${whole(n)} ${n === 1 ? one : more}`;
const spelled = (n) => NUMBERS[n] || whole(n);
const capital = (says) => says.charAt(0).toUpperCase() + says.slice(1);

/** 1, 2 and 3; of a long list only its first. */
function listed(numbers, most = 8) {
  const all = [...numbers].sort((a, b) => a - b);
  if (all.length < 2) return all.join("");
  if (all.length > most) return `${all.slice(0, most - 1).join(", ")} and ${all.length - most + 1} more`;
  return `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
}
const orders = (numbers, most) => `order${numbers.length === 1 ? "" : "s"} ${listed(numbers, most)}`;
const plates = (numbers, most) => `plate${numbers.length === 1 ? "" : "s"} ${listed(numbers, most)}`;

// the link slider: log scale, its last notch is "unpaced"
const CPU_LINKS = [0.5e6, 2e9],
  NOTCHES = 200;
let [slowest, fastest] = CPU_LINKS; // a page has one engine
function spanLinks(links) {
  [slowest, fastest] = links || CPU_LINKS;
}
const linkShare = (n) => (n == null ? 1 : Math.min(1, Math.log(Math.max(n, slowest) / slowest) / Math.log(fastest / slowest)));
const shareOf = (link) => (link ? linkShare(link.bandwidth) : 0);
const notchOf = (n) => (n == null ? NOTCHES : Math.round((NOTCHES - 1) * linkShare(n)));
const rateOf = (notch) =>
  notch >= NOTCHES ? null : Number((slowest * (fastest / slowest) ** (notch / (NOTCHES - 1))).toPrecision(2));
const beltPx = (n) => (n == null ? 52 : n === 0 ? 0 : 8 + 44 * linkShare(n));

/** What a belt of this width cannot keep: the road below it has carried less, as was measured. */
const beyond = (ceiling, bandwidth) =>
  ceiling && (bandwidth == null || bandwidth > ceiling) ? `carries ${rate(ceiling)} at most` : "";

/** The scale ruler: the real fabric with the same shipping ratio, if the page has sent one. */
function likeFabric(ruler, bandwidth) {
  if (!ruler?.length || bandwidth == null) return "";
  const far = (mark) => Math.abs(Math.log(mark.bytes_per_s / bandwidth));
  return `acts like ${ruler.reduce((a, b) => (far(a) <= far(b) ? a : b)).label}`;
}
