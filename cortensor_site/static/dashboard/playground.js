// The playground: sends a prompt, shows the answer while it streams, then the task's settlement.

import { CompletionFailed, completionChunks } from "./completion.js";
import { el, setText } from "./dom.js";
import { count, counted, duration } from "./format.js";
import { taskStory } from "./tasks.js";
import { isFinal } from "./track.js";

const KEY_SLOT = "cortensor.api_key";
const SESSION_SLOT = "cortensor.session_id";

/**
 * Bring the playground to life.
 *
 * @param root its section
 * @param config `{completions_url, demo_api_key, demo_session_id}`
 * @param follow told the task to keep in the snapshots
 * @returns a function that takes every new snapshot
 */
export function playground(root, config, follow) {
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const form = part("form");
  const fields = form.elements;
  const meter = tokenMeter(part("meter"));
  const answer = answerPane(part("answer"));
  const problem = problemPane(part("problem"), fields);
  const story = taskStory();
  let running = null;
  let asked = null;

  part("story").append(story.element);
  rememberFields(fields, config);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!running) ask();
  });
  part("stop").addEventListener("click", () => running?.abort());
  fields.prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  for (const button of root.querySelectorAll("[data-example]")) {
    button.addEventListener("click", () => {
      fields.prompt.value = button.textContent.trim();
      fields.prompt.focus();
    });
  }

  async function ask() {
    running = new AbortController();
    asked = null;
    busy(true);
    problem.clear();
    answer.start();
    meter.start();
    part("follow").hidden = true;
    try {
      const chunks = completionChunks(
        config.completions_url,
        fields.api_key.value,
        requestOf(fields),
        running.signal,
      );
      for await (const chunk of chunks) {
        if (!asked && Number.isInteger(chunk.task_id)) followTask(chunk);
        const choice = chunk.choices?.[0];
        if (choice?.text) {
          answer.add(choice.text);
          meter.piece();
        }
        if (chunk.usage) meter.usage(chunk.usage);
      }
      meter.end("finished");
    } catch (error) {
      const stopped = error.name === "AbortError";
      meter.end(stopped ? "stopped" : "failed");
      if (!stopped) problem.show(error);
    }
    answer.end();
    busy(false);
    running = null;
  }

  function busy(is) {
    const focused = document.activeElement;
    part("ask").disabled = is;
    part("stop").hidden = !is;
    // Keep the keyboard focus when the button that had it disappears.
    if (is && focused === part("ask")) part("stop").focus();
    if (!is && focused === part("stop")) part("ask").focus();
  }

  function followTask(chunk) {
    asked = { session_id: chunk.session_id, task_id: chunk.task_id };
    setText(part("followed"), `Task ${count(asked.task_id)} of session ${asked.session_id}`);
    follow(asked);
  }

  return (snapshot) => {
    const task = asked && snapshot.tasks.find((row) => isSame(row, asked));
    if (!task) return;
    part("follow").hidden = false;
    part("follow").dataset.status = task.status;
    setText(part("progress"), isFinal(task) ? "" : `now ${task.status}`);
    story.update(task);
  };
}

const isSame = (a, b) => a.session_id === b.session_id && a.task_id === b.task_id;

// An empty field leaves the value to the model.
function requestOf(fields) {
  const request = { session_id: fields.session_id.valueAsNumber, prompt: fields.prompt.value };
  for (const name of ["max_tokens", "temperature"]) {
    if (fields[name].value !== "") request[name] = fields[name].valueAsNumber;
  }
  return request;
}

// A typed key is stored until the tab closes. The demo key is never stored.
function rememberFields(fields, config) {
  fields.api_key.value = sessionStorage.getItem(KEY_SLOT) ?? config.demo_api_key;
  fields.session_id.value = sessionStorage.getItem(SESSION_SLOT) ?? (config.demo_session_id || "");
  fields.api_key.addEventListener("change", () => keep(KEY_SLOT, fields.api_key.value));
  fields.session_id.addEventListener("change", () => keep(SESSION_SLOT, fields.session_id.value));
}

function keep(slot, value) {
  if (value) sessionStorage.setItem(slot, value);
  else sessionStorage.removeItem(slot);
}

function answerPane(pane) {
  let text = null;
  return {
    start() {
      text = document.createTextNode("");
      pane.replaceChildren(text);
      pane.dataset.state = "waiting";
      // Let a screen reader read the whole answer once, not token by token.
      pane.setAttribute("aria-busy", "true");
    },
    add(piece) {
      const follows = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 24;
      pane.dataset.state = "streaming";
      text.appendData(piece);
      if (follows) pane.scrollTop = pane.scrollHeight;
    },
    end() {
      pane.dataset.state = text.length ? "done" : "empty";
      pane.setAttribute("aria-busy", "false");
    },
  };
}

/** Time to the first token, tokens, tokens a second, as a client of the API sees them. */
function tokenMeter(root) {
  const value = (name) => root.querySelector(`[data-value="${name}"]`);
  let started, first, last, pieces, tokens;
  const show = (state) => {
    root.dataset.state = state;
    setText(value("state"), state);
    setText(value("ttft"), first === null ? "–" : duration(first - started));
    setText(value("tokens"), pieces ? counted(tokens ?? pieces, "token") : "–");
    setText(value("speed"), pieces ? `${speed().toFixed(1)} tok/s` : "–");
  };
  // The time of the first token shows the latency, that of the others the speed. The answer of a
  // fast model may arrive in one piece, so that only the total time is known.
  const speed = () => {
    const made = tokens ?? pieces;
    return pieces > 1
      ? ((made - 1) * 1000) / Math.max(last - first, 1)
      : (made * 1000) / Math.max(last - started, 1);
  };
  return {
    start() {
      started = performance.now();
      first = last = tokens = null;
      pieces = 0;
      root.hidden = false;
      show("waiting");
    },
    piece() {
      last = performance.now();
      first ??= last;
      pieces += 1;
      show("streaming");
    },
    usage(usage) {
      tokens = usage.completion_tokens ?? tokens;
    },
    end: show,
  };
}

function problemPane(pane, fields) {
  return {
    clear() {
      pane.hidden = true;
      for (const field of fields) field.removeAttribute("aria-invalid");
    },
    show(error) {
      const problem = error instanceof CompletionFailed ? error : unreachable(error);
      const lines = [el("strong", {}, problem.title)];
      for (const text of [problem.detail, problem.remedy]) if (text) lines.push(el("span", {}, text));
      pane.replaceChildren(...lines);
      pane.hidden = false;
      const field = problem.field && fields.namedItem(problem.field);
      if (!field) return;
      field.setAttribute("aria-invalid", "true");
      field.focus();
    },
  };
}

function unreachable(error) {
  console.warn("The completion failed:", error);
  return {
    title: "The router could not be reached",
    detail: "The connection failed before the answer was whole.",
    remedy: "Look whether the router is running, then ask again.",
  };
}
