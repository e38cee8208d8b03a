// Asks the API, with the token if one is needed. The token is in no address, and kept in this tab only.

const KEY = "weir-token";
let entered = null;

function token() {
  if (entered !== null) return entered;
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function keep(value) {
  entered = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Storage is switched off: it is asked for again when the page is loaded again.
  }
}

/** What the API answered instead of what was asked for; `code` is the API's own word. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let asking = null;

/** Asks the reader for the token, once for all calls that wait for it. */
function login(wasWrong) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("login");
    const field = document.getElementById("token");
    document.getElementById("login-wrong").textContent = wasWrong ? "That was not it. Try again." : "";
    field.value = "";
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => {
      keep(field.value.trim());
      asking = null;
      resolve();
    };
    dialog.showModal();
    field.focus();
  });
  return asking;
}

/** A response, once the API lets us in. */
export async function open(path, signal, accept = "application/json") {
  for (;;) {
    const sent = token();
    const headers = { accept };
    if (sent) headers.authorization = `Bearer ${sent}`;
    let response;
    try {
      response = await fetch(path, { headers, signal, cache: "no-store", credentials: "same-origin" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Refusal(0, "unreachable", "Weir's analytics service does not answer. Is it running?");
    }
    if (response.status === 401) {
      // Another call may have brought a token meanwhile.
      if (sent === token()) await login(sent !== "");
      if (signal?.aborted) throw new DOMException("no longer wanted", "AbortError");
      continue;
    }
    if (response.ok) return response;
    const told = await response.json().catch(() => null);
    throw new Refusal(response.status, told?.error?.code ?? "", told?.error?.message ?? `The answer was ${response.status}.`);
  }
}

/** JSON of an endpoint. */
export async function get(path, signal) {
  return (await open(path, signal)).json();
}

/** Server-sent events, as `[name, data]`, until the stream ends or is aborted. */
export async function* events(path, signal) {
  const response = await open(path, signal, "text/event-stream");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const pieces = text.split("\n\n");
    text = pieces.pop();
    for (const piece of pieces) {
      const lines = piece.split("\n");
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [name, data] = [field("event"), field("data")];
      yield name ? [name, JSON.parse(data ?? "null")] : ["alive", null];
    }
  }
}
