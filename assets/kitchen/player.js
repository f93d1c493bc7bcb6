// The player: one clock for all kitchens.

const INTRO =
  "Prep reads a whole prompt (prefill) and fills a tray with its KV cache. Plating adds one token to every plate, step by step (decode). A light burns while a step runs; a plate that nobody works on freezes.";
const KEYS = { next: 0 };
function mark(node, name, value) {
  if (value === false || value == null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== (value === true ? "" : value)) node.setAttribute(name, value === true ? "" : value);
}

const SPEEDS = [
  [0.05, "1/20×"],
  [0.25, "1/4×"],
  [1, "1×"],
  [4, "4×"],
];
const LIVE_LAG_S = 0.06; // draw this far behind the run's clock, so that most events are there when their time comes
const TAIL_S = 0.3; // a replay goes on this long after the last event

function player(stage) {
  const root = h2("div", "sk-player"),
    put = canvas(root),
    { clock } = stage;
  return {
    root,
    draw() {
      const edge = stage.edge(),
        playing = clock.playing ? "Pause (space)" : "Play (space)";
      const button = (face, label, act, props) =>
        h("button", { type: "button", "aria-label": label, title: label, onclick: act, ...props }, face);
      put(
        h(
          "div",
          { class: "sk-bar", role: "group", "aria-label": "Player" },
          h(
            "div",
            { class: "sk-buttons" },
            button(icon("back"), "Previous event (,)", () => stage.step(-1)),
            button(icon(clock.playing ? "pause" : "play"), playing, () => stage.toggle(), { class: "sk-play" }),
            button(icon("ahead"), "Next event (.)", () => stage.step(1)),
            button(icon("replay"), "Replay from the start", () => stage.replay()),
          ),
          h("p", { class: "sk-caption", role: "status" }, clock.caption || ""),
          h("span", { class: "sk-clock" }, `${clock.t.toFixed(2)} / ${edge.toFixed(2)} s`),
          h(
            "div",
            { class: "sk-buttons sk-speeds", role: "group", "aria-label": "Speed" },
            SPEEDS.map(([speed, says]) =>
              button(says, `Speed ${says}`, () => stage.pace(speed), {
                "aria-pressed": clock.speed === speed ? "true" : "false",
              }),
            ),
          ),
          stage.isLive()
            ? h(
                "button",
                {
                  type: "button",
                  class: "sk-live",
                  "aria-pressed": clock.following ? "true" : "false",
                  onclick: () => stage.follow(),
                },
                "Live",
              )
            : null,
        ),
      );
    },
  };
}
