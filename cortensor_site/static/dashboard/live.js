// Keeps the page up to date: fetches a snapshot at the start, and another one after notices.

const SETTLE_MS = 120;
const FALLBACK_MS = 5_000;
const BACK_OFF_MS = [500, 1_000, 2_000, 5_000, 10_000];

/**
 * Follow the network until the page is left.
 *
 * The socket says only *that* something changed; the snapshot says what is. While the socket is up,
 * nothing is asked for without a notice.
 *
 * @param urls `{snapshot, socket}`: addresses on this host
 * @param onSnapshot told every new snapshot
 * @param onState told "live", "reconnecting" (refreshing slowly) or "offline" (nothing answers)
 * @returns `{follow(task), refresh()}`: `follow` keeps one task in the snapshots however old it grows
 */
export function followNetwork(urls, onSnapshot, onState) {
  let followed = null;
  let timer = null;
  let loading = false;
  let stale = false;
  let attempts = 0;
  let socketUp = false;
  let routerUp = true;

  const tell = () => onState(socketUp ? "live" : routerUp ? "reconnecting" : "offline");

  function refresh() {
    if (loading) stale = true;
    else timer ??= setTimeout(load, SETTLE_MS);
  }

  async function load() {
    timer = null;
    loading = true;
    stale = false;
    try {
      const response = await fetch(snapshotUrl(), { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`the snapshot answered ${response.status}`);
      onSnapshot(await response.json());
      routerUp = true;
    } catch (error) {
      console.warn("The network's snapshot could not be had:", error);
      routerUp = false;
    }
    loading = false;
    tell();
    if (stale) refresh();
  }

  function snapshotUrl() {
    const url = new URL(urls.snapshot, location.href);
    if (followed) {
      url.searchParams.set("session_id", followed.session_id);
      url.searchParams.set("task_id", followed.task_id);
    }
    return url;
  }

  function connect() {
    const url = new URL(urls.socket, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.addEventListener("open", () => {
      attempts = 0;
      socketUp = true;
      tell();
      // Notices that were sent while the socket was closed are lost.
      refresh();
    });
    socket.addEventListener("message", refresh);
    socket.addEventListener("close", () => {
      socketUp = false;
      tell();
      const wait = BACK_OFF_MS[Math.min(attempts++, BACK_OFF_MS.length - 1)];
      setTimeout(connect, wait * (0.75 + Math.random() / 2));
    });
  }

  setInterval(() => socketUp || document.hidden || refresh(), FALLBACK_MS);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  load();
  connect();
  return {
    refresh,
    follow(task) {
      followed = task;
      refresh();
    },
  };
}
