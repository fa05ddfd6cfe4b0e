// Shows the network's escrow, miners and sessions.

import { el, keyedList, setText } from "./dom.js";
import { clock, cor, corElement, count, hexElement } from "./format.js";

/** The equation that holds at every block, and a bar of its right-hand side. */
export function escrow(root) {
  const bar = root.querySelector("[data-bar]");
  const verdict = root.querySelector("[data-verdict]");
  const parts = ["balances", "reserved", "owed", "withdrawn"];
  const bars = parts.map((part) => el("span", { class: `share share-${part}` }));
  bar.append(...bars);
  return (totals) => {
    for (const part of ["deposited", ...parts]) {
      root.querySelector(`[data-total="${part}"]`).replaceChildren(corElement(totals[part]));
    }
    const deposited = BigInt(totals.deposited);
    const sum = parts.reduce((so_far, part) => so_far + BigInt(totals[part]), 0n);
    bars.forEach((share, index) => {
      const amount = BigInt(totals[parts[index]]);
      share.style.flexGrow = sum > 0n ? String(Number((amount * 100_000n) / sum)) : "0";
    });
    const difference = deposited - sum;
    verdict.dataset.tone = difference === 0n ? "good" : "bad";
    setText(verdict, difference === 0n ? "adds up" : `differs by ${cor(difference)} COR`);
  };
}

/** The table of miners. */
export function minerTable(body) {
  return keyedList(body, (miner) => miner.address, () => {
    const cells = row("Miner", "State", "Reputation", "Speed", "Load", "Earned");
    return {
      element: cells.element,
      update(miner) {
        cells.element.classList.toggle("away", !miner.online);
        cells.Miner.replaceChildren(presenceDot(miner), hexElement(miner.address));
        cells.State.replaceChildren(
          el("span", { class: "chip", "data-tone": STATE_TONES[miner.state] ?? "" }, miner.state),
        );
        setText(cells.Reputation, String(miner.reputation).replace("-", "−"));
        setText(cells.Speed, miner.online ? `${miner.tokens_per_s.toFixed(1)} tok/s` : "–");
        setText(cells.Load, miner.online ? `${miner.in_flight} of ${miner.slots}` : "–");
        cells.Earned.replaceChildren(
          corElement(String(BigInt(miner.owed_wei) + BigInt(miner.withdrawn_wei))),
        );
        cells.Earned.title =
          `${cor(miner.owed_wei)} COR owed, ${cor(miner.withdrawn_wei)} COR withdrawn`;
      },
    };
  });
}

/** The table of sessions. */
export function sessionTable(body) {
  return keyedList(body, (session) => session.session_id, () => {
    const cells = row("Session", "State", "Miners", "Reserved", "Balance");
    return {
      element: cells.element,
      update(session) {
        cells.Session.replaceChildren(
          el("b", {}, count(session.session_id)),
          el("span", { class: "session-name" }, session.name),
        );
        const { active } = session;
        cells.State.replaceChildren(
          el(
            "span",
            { class: "chip", "data-tone": active ? "good" : "" },
            active ? "active" : "inactive",
          ),
        );
        setText(cells["Miners"], count(session.redundancy));
        cells.Reserved.replaceChildren(corElement(session.reserved_wei));
        cells.Balance.replaceChildren(corElement(session.balance_wei));
      },
    };
  });
}

/** The table of network tasks, the work of idle miners. */
export function idleTable(body) {
  return keyedList(body, (task) => task.number, () => {
    const cells = row("Task", "State", "Answers", "Begun");
    return {
      element: cells.element,
      update(task) {
        setText(cells.Task, count(task.number));
        const tone = task.state === "ended" ? "good" : "busy";
        cells.State.replaceChildren(el("span", { class: "chip", "data-tone": tone }, task.state));
        const judged = task.accepted === null ? "" : `${task.accepted} right of `;
        setText(cells.Answers, task.completers ? `${judged}${task.completers}` : "–");
        setText(cells.Begun, task.created_at ? clock(task.created_at) : "–");
      },
    };
  });
}

const STATE_TONES = { ephemeral: "good", dedicated: "good", active: "busy", reserved: "busy" };

// Sets ARIA roles explicitly, since the narrow layout removes `display: table` from the tables.
function row(...names) {
  const cells = names.map((name) => el("td", { role: "cell", "data-label": name }));
  const named = Object.fromEntries(names.map((name, index) => [name, cells[index]]));
  return { ...named, element: el("tr", { role: "row" }, ...cells) };
}

function presenceDot({ online, last_seen_at: seenAt }) {
  const words = online ? "online" : "away";
  const title = seenAt ? `${words}, heard of at ${clock(seenAt)}` : "never heard of";
  return el("span", { class: `presence ${words}`, role: "img", "aria-label": words, title });
}
