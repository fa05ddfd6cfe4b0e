// The page's entry point: reads the configuration that the server rendered, and connects the parts.

import { setText } from "./dom.js";
import { clock, cor, count } from "./format.js";
import { followNetwork } from "./live.js";
import { escrow, idleTable, minerTable, sessionTable } from "./network.js";
import { playground } from "./playground.js";
import { taskList } from "./tasks.js";
import { isFinal } from "./track.js";

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("config").textContent);

const BADGE_WORDS = {
  live: "Live",
  reconnecting: "Reconnecting – refreshing every 5 s",
  offline: "Offline – the router does not answer",
};

const showEscrow = escrow(byId("escrow"));
const showTasks = taskList(byId("tasks"));
const showMiners = minerTable(byId("miners"));
const showSessions = sessionTable(byId("sessions"));
const showIdle = idleTable(byId("idle"));
const network = followNetwork(
  { snapshot: config.snapshot_url, socket: config.socket_url },
  show,
  (state) => {
    byId("badge").dataset.state = state;
    setText(byId("badge-words"), BADGE_WORDS[state]);
  },
);
const followInPlayground = playground(byId("playground"), config, network.follow);

function show(snapshot) {
  const { latest_block: block, miners, sessions, tasks } = snapshot;
  setText(byId("block"), block ? `Block ${count(block.number)}` : "No block yet");
  byId("block").title = block ? `mined at ${clock(block.at)}` : "";
  showEscrow(snapshot.totals);
  const recent = tasks.filter((task) => task.recent);
  showList("tasks", recent, showTasks);
  showList("miners", miners, showMiners);
  showList("sessions", sessions, showSessions);
  showList("idle", snapshot.network_tasks, showIdle);
  const paid = snapshot.network_paid_wei;
  setText(byId("idle-count"), paid === "0" ? "" : `${cor(paid)} COR paid`);
  const online = miners.filter((miner) => miner.online).length;
  const running = recent.filter((task) => !isFinal(task)).length;
  setText(byId("miners-count"), miners.length ? `${online} of ${miners.length} online` : "");
  setText(byId("sessions-count"), sessions.length ? `the newest ${sessions.length}` : "");
  setText(byId("tasks-count"), running ? `${running} on the way` : "");
  followInPlayground(snapshot);
}

function showList(name, items, showItems) {
  showItems(items);
  byId(`${name}-some`).hidden = items.length === 0;
  byId(`${name}-none`).hidden = items.length > 0;
}
