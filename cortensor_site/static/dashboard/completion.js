// Streams a completion: one POST, answered by server-sent events.

/** What the router, or the way to it, said instead of an answer. */
export class CompletionFailed extends Error {
  constructor({ title, detail, field = null, remedy = "" }) {
    super(detail || title);
    Object.assign(this, { title, detail, field, remedy });
  }
}

/**
 * The chunks of an answer, one by one.
 *
 * @param url the completions endpoint
 * @param apiKey the bearer's key
 * @param request the body, without `stream`
 * @param signal an AbortSignal that ends the stream
 * @throws CompletionFailed the router refused, or the stream broke off
 */
export async function* completionChunks(url, apiKey, request, signal) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${apiKey}`,
      "Content-Type": "application/json",
      Accept: "text/event-stream",
    },
    body: JSON.stringify({ ...request, stream: true }),
    signal,
  });
  if (!response.ok) throw new CompletionFailed(await problemOf(response));
  for await (const data of eventData(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new CompletionFailed(problemIn(chunk.error));
    yield chunk;
  }
  throw new CompletionFailed({
    title: "The answer broke off",
    detail: "The router closed the stream before its end. The task itself goes on below.",
  });
}

/** The data of each server-sent event, whatever pieces the bytes come in. */
export async function* eventData(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffer += value;
      const lines = buffer.split(/\r\n|\n|\r(?!$)/);
      buffer = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => null);
  const fallback = { title: `The router answered ${response.status}`, detail: response.statusText };
  return problem ? { ...fallback, ...problemIn(problem) } : fallback;
}

// Errors are problem+json documents. An error event in a stream may contain only a message.
function problemIn(problem) {
  if (typeof problem === "string") return { title: "The answer failed", detail: problem };
  return {
    title: problem.title ?? "The answer failed",
    detail: problem.detail ?? problem.message ?? "",
    field: problem.field ?? problem.errors?.[0]?.field ?? null,
    remedy: problem.remedy ?? "",
  };
}
