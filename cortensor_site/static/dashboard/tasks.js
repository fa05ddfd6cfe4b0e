// Shows the list of tasks, and the details of one task: its stages, miners and settlement.

import { el, keyedList, setText } from "./dom.js";
import { between, corElement, count, counted, hexElement, percent } from "./format.js";
import { isFinal, miniTrack, stageTrack } from "./track.js";

/** Show tasks, newest first. The newest and those on their way are open until somebody says else. */
export function taskList(parent) {
  return keyedList(parent, (task) => `${task.session_id}/${task.task_id}`, taskItem);
}

function taskItem() {
  const name = el("span", { class: "task-name" });
  const track = miniTrack();
  const status = el("span", { class: "chip" });
  const summary = el("summary", {}, name, track.element, status);
  const story = taskStory();
  const details = el("details", { class: "task" }, summary, story.element);
  let chosen = false;
  summary.addEventListener("click", () => (chosen = true));
  return {
    element: el("li", {}, details),
    update(task, index) {
      name.replaceChildren(
        el("b", {}, `Task ${count(task.task_id)}`),
        el("span", { class: "muted" }, ` session ${task.session_id}`),
      );
      setText(status, task.status);
      status.dataset.tone = taskTone(task);
      if (!chosen) details.open = index === 0 || !isFinal(task);
      track.update(task);
      story.update(task);
    },
  };
}

/** One task's stages, miners and settlement. */
export function taskStory() {
  const track = stageTrack();
  const outcome = el("p", { class: "outcome" });
  const miners = el("ul", { class: "parts", "aria-label": "Miners on this task" });
  const showMiners = keyedList(miners, (part) => part.miner, minerPart);
  const settlement = el("p", { class: "settlement" });
  return {
    element: el("div", { class: "story" }, track.element, outcome, miners, settlement),
    update(task) {
      track.update(task);
      showMiners(task.miners);
      outcome.hidden = !isMishap(task);
      setText(outcome, isMishap(task) ? outcomeWords(task) : "");
      settlement.replaceChildren(...settlementWords(task));
    },
  };
}

function minerPart() {
  const address = el("span");
  const state = el("span", { class: "chip" });
  const facts = el("span", { class: "part-facts" });
  const paid = el("span", { class: "part-paid" });
  return {
    element: el("li", { class: "part" }, address, state, facts, paid),
    update(part) {
      address.replaceChildren(hexElement(part.miner));
      setText(state, part.status);
      state.dataset.tone = PART_TONES[part.status] ?? "busy";
      setText(facts, partFacts(part));
      paid.replaceChildren(...(part.paid_wei === "0" ? [] : [corElement(part.paid_wei), " COR"]));
    },
  };
}

const PART_TONES = { judged: "good", replaced: "warn", failed: "bad" };

const isMishap = (task) => isFinal(task) && task.outcome_code !== "settled";

function taskTone(task) {
  if (!isFinal(task)) return "busy";
  if (!isMishap(task)) return "good";
  return task.status === "failed" ? "bad" : "warn";
}

function outcomeWords(task) {
  const what = task.status === "failed" ? "Failed" : "Ended without a payment";
  return `${what}: ${codeWords(task.outcome_code) || "no reason was given"}`;
}

function partFacts(part) {
  const facts = [];
  if (part.accuracy_bps !== null) facts.push(`accuracy ${percent(part.accuracy_bps)}`);
  if (part.output_tokens) facts.push(counted(part.output_tokens, "token"));
  if (part.failure) facts.push(codeWords(part.failure));
  return facts.join(" · ");
}

const codeWords = (code) => code.replaceAll("_", " ");

function settlementWords(task) {
  const { settlement } = task;
  if (!settlement) return ["Not on chain yet."];
  if (!settlement.tx) return ["Reserved ", corElement(settlement.reserved_wei), " COR."];
  return [
    `Settled in ${between(task.stages.queued, settlement.at)}: `,
    corElement(settlement.paid_wei),
    " COR paid, ",
    corElement(settlement.refunded_wei),
    " COR back to the session. Transaction ",
    hexElement(settlement.tx),
  ];
}
