// Shows the stages of a task as a track that fills from the left, or from the top on narrow screens.

import { el, setText } from "./dom.js";
import { between } from "./format.js";

export const STAGES = [
  "queued",
  "assigned",
  "acked",
  "precommitted",
  "committed",
  "validated",
  "ended",
];

export const isFinal = (task) => task.status === "ended" || task.status === "failed";

/** How many of the stages before the end a task has reached, whatever became of it. */
function reachedCount(task) {
  if (!isFinal(task)) return STAGES.indexOf(task.status) + 1;
  return STAGES.slice(0, -1).findLastIndex((stage) => task.stages[stage]) + 1;
}

/** What a stage is to a task: done, current, failed or todo. A refunded task skips stages. */
function stageState(task, index) {
  const reached = reachedCount(task);
  const isLast = index === STAGES.length - 1;
  if (isFinal(task)) {
    if (isLast && task.status === "ended") return "done";
    if (index === reached && task.status === "failed") return "failed";
    return index < reached ? "done" : "todo";
  }
  if (index === reached - 1) return "current";
  return index < reached ? "done" : "todo";
}

/** The whole track: names and the time each stage took since the task came in. */
export function stageTrack() {
  const stages = STAGES.map((name) => {
    const label = el("span", { class: "stage-name" }, name);
    const time = el("span", { class: "stage-time" });
    const dot = el("span", { class: "stage-dot", "aria-hidden": "true" });
    return { label, time, name, element: el("li", { class: "stage" }, dot, label, time) };
  });
  const element = el("ol", { class: "track", "aria-label": "Stages" });
  element.append(...stages.map((stage) => stage.element));
  return {
    element,
    update(task) {
      stages.forEach((stage, index) => {
        const state = stageState(task, index);
        stage.element.dataset.state = state;
        if (state === "current") stage.element.setAttribute("aria-current", "step");
        else stage.element.removeAttribute("aria-current");
        const at = state === "failed" ? task.stages.ended : task.stages[stage.name];
        setText(stage.label, state === "failed" ? "failed" : stage.name);
        setText(stage.time, stageTime(task, index, at));
      });
    },
  };
}

function stageTime(task, index, at) {
  if (!at) return "";
  return index === 0 ? "0 s" : `+${between(task.stages.queued, at)}`;
}

/** The track in one line: seven bars. */
export function miniTrack() {
  const bars = STAGES.map(() => el("span", { class: "bar" }));
  const element = el("span", { class: "mini-track", "aria-hidden": "true" }, ...bars);
  return {
    element,
    update(task) {
      bars.forEach((bar, index) => (bar.dataset.state = stageState(task, index)));
    },
  };
}
