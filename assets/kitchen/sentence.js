// The one sentence of the moment: what matters most right now, and why. It says only what the log has said until t.

function sentence(now, stations) {
  const { log, t } = now,
    cook = (one) =>
      one.of > 1
        ? one.called
        : { prep: "the prep station", plating: "the plating line", hatch: "the server" }[one.station] || "the cook";
  const served = now.served.length,
    all = log.orders.size;
  if (!now.arrived) return { key: "before", lead: "The kitchen is open.", rest: "No order has come in yet." };
  if (served === all && log.end <= t + 1e-6)
    return { key: "after", lead: `All ${many(all, "order")} ${all === 1 ? "is" : "are"} served.`, rest: "" };
  const down = stations.filter((one) => one.mode === "down");
  const rests = [],
    going = stations
      .filter((one) => one.plating && !one.frozen.length)
      .flatMap((one) => one.plates.filter(({ still }) => !still || still === "short").map(({ number }) => number));
  const stroke = median(stations.map(({ stroke }) => stroke).filter((s) => s != null));
  const goOn = going.length
    ? `${capital(plates(going, 6))} ${going.length === 1 ? "gets" : "get"} a token${stroke ? ` every ${secs(stroke)}` : " with each step"}.`
    : "";
  const door =
    now.tickets.length > 1
      ? `${capital(spelled(now.tickets.length))} orders wait at the door.`
      : now.tickets.length
        ? `Order ${now.tickets[0].order.number} waits at the door.`
        : "";
  if (down.length) {
    const who = capital(cook(down[0])),
      again = now.tickets.filter(({ ticket }) => ticket.again).map(({ order }) => order.number);
    return {
      key: `down ${down.map(({ name }) => name)}`,
      lead: `${who} is closed: ${down[0].why || "it is not up yet"}.`,
      rest: again.length ? `${capital(orders(again))} ${again.length === 1 ? "is" : "are"} back at the door.` : goOn || door,
    };
  }
  const cold = stations.filter((one) => one.frozen.length && !one.plating).sort((a, b) => b.frozen.length - a.frozen.length)[0];
  if (cold) {
    const who = cold.frozen.map(({ number }) => number),
      stand = `${plates(who, 8)} stand${who.length === 1 ? "s" : ""} still`;
    if (cold.cuts)
      return {
        key: `cold ${cold.name} ${who} ${cold.inPrep}`,
        lead: `${capital(orders(cold.inPrep, 4))} ${cold.inPrep.length === 1 ? "has" : "have"} been in prep for ${age(cold.since)}.`,
        rest: `Both of ${cook(cold)}'s hands are in ${cold.inPrep.length === 1 ? "it" : "them"}; ${stand}.`,
      };
    return {
      key: `idle ${cold.name} ${who}`,
      lead: `${capital(stand)}.`,
      rest: `Nobody works on ${who.length === 1 ? "it" : "them"}.`,
    };
  }
  const slow = stations.filter((one) => one.held.length && one.step).sort((a, b) => b.held.length - a.held.length)[0];
  if (slow) {
    const who = slow.held.map(({ number }) => number);
    if (!slow.tokens)
      return {
        key: `slow ${slow.name} ${who}`,
        lead: `${capital(plates(who, 8))} wait${who.length === 1 ? "s" : ""} for one long step.`,
        rest: `It has lasted ${age(slow.since)}.`,
      };
    return {
      key: `slow ${slow.name} ${who} ${slow.inPrep}`,
      lead: `${capital(plates(who, 8))} wait${who.length === 1 ? "s" : ""} for ${whole(slow.tokens)} tokens of ${orders(slow.inPrep, 3)}.`,
      rest: `Both are in one step, and it has lasted ${age(slow.since)}.`,
    };
  }
  const held = heldByTrays(now),
    first = now.trays[0] || now.waiting[0],
    preps = stations.filter((one) => one.station === "prep" && one.cuts),
    it = crossing(now);
  if (preps.length)
    rests.push(
      `${capital(
        orders(
          preps.flatMap((one) => one.inPrep),
          4,
        ),
      )} ${preps.flatMap((one) => one.inPrep).length === 1 ? "is" : "are"} in prep.`,
    );
  if (held.length && first) {
    const others = held.filter(({ order }) => order !== first.order).map(({ number }) => number);
    const far = it
      ? `${["has just begun to cross", "is a quarter across", "is half across", "is three quarters across"][Math.min(3, Math.floor(it.share * 4))]}`
      : "waits for the pass";
    return {
      key: `tray ${first.tray.id} ${others} ${it ? Math.floor(it.share * 4) : ""}`,
      lead: `Tray ${first.order.number} ${far};`,
      rest: [
        others.length
          ? `${listed(others, 6)} wait${others.length === 1 ? "s" : ""} ${now.trays.length > 1 ? "for trays, too" : "behind it"}.`
          : `its guest waits for token 2.`,
        ...rests,
        goOn,
      ]
        .filter(Boolean)
        .join(" "),
    };
  }
  const both = stations.filter((one) => one.mode === "mixed")[0];
  if (both)
    return {
      key: `both ${both.name} ${both.inPrep}`,
      lead: `A portion of ${orders(both.inPrep, 3)}, and in the same step a token for every plate of ${cook(both)}.`,
      rest: door,
    };
  const long = stations.filter((one) => one.cuts && one.since > 0.25).sort((a, b) => b.since - a.since)[0];
  if (long)
    return {
      key: `prep ${long.name} ${long.inPrep} ${now.tickets.length}`,
      lead: `${capital(orders(long.inPrep, 4))} ${long.inPrep.length === 1 ? "has" : "have"} been in prep for ${age(long.since)}.`,
      rest: [door, goOn].filter(Boolean).join(" "),
    };
  if (it)
    return { key: `cross ${first.tray.id}`, lead: `Tray ${it.number} crosses, ${bytes(it.nbytes)} of KV cache.`, rest: goOn };
  if (goOn)
    return {
      key: `plates ${going}`,
      lead: goOn,
      rest: door || (served ? `${capital(spelled(served))} of ${all} ${served === 1 ? "is" : "are"} served.` : ""),
    };
  return {
    key: `else ${now.tickets.length}`,
    lead:
      door ||
      (preps.length
        ? rests[0]
        : `${capital(spelled(now.arrived - served))} ${now.arrived - served === 1 ? "order is" : "orders are"} in the kitchen.`),
    rest: "",
  };
}
