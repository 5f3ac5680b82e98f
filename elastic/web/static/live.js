// Live updates: after a hint of the server, fetch the regions <section id data-live="url" data-topics="dags dag:x"> and
// replace only the changed parts. Parts with the focus, a selection or an open menu are kept.

/** Milliseconds: between fetches without a hint, between reconnects (doubled up to a maximum), between refreshes. */
const REGULAR = 30_000, FIRST_RETRY = 1_000, LONGEST_RETRY = 30_000, SHORTEST = 1_000;

/** @type {Map<string, string>} ETag of the page of each region */
const tags = new Map();
/** @type {Map<string, boolean>} URLs that are being fetched, and whether they must be fetched again after that */
const pending = new Map();
/** @type {EventSource | null} */
let stream = null;
let retry = FIRST_RETRY, timer = 0, regular = 0, last = 0, planned = 0;
let paused = localStorage.getItem("elastic-live") === "paused";

const regions = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll("section[data-live][id]")]);
const status = document.getElementById("live-status");

/** @param {string} text @param {string} kind */
function show(text, kind) {
  if (!status) return;
  status.hidden = false;
  status.querySelector(".text").textContent = text;
  status.querySelector(".dot").className = `dot ${kind}`;
  status.setAttribute("aria-pressed", String(!paused));
  status.title = paused ? "Live updates are paused. Click to resume" : "Live updates are on. Click to pause";
}

/** Return whether a part must not be replaced at the moment. @param {Element} part */
function isBusy(part) {
  const focused = document.activeElement, selection = document.getSelection();
  if (focused && focused !== document.body && part.contains(focused)) return true;
  if (part.querySelector("details[open], dialog[open], input:focus, :popover-open") || part.matches("details[open], dialog[open]")) return true;
  return Boolean(selection && !selection.isCollapsed && selection.rangeCount && selection.getRangeAt(0).intersectsNode(part));
}

/** Replace the parts that differ, from the outside in, except those in use. @param {Element} old @param {Element} fresh */
function swap(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const before = [...old.children], after = [...fresh.children];
  const isSame = old.tagName === fresh.tagName && before.length === after.length && before.every((one, at) => one.tagName === after[at].tagName && one.id === after[at].id);
  if (isSame && before.length && !hasOwnText(old, fresh)) {
    before.forEach((one, at) => swap(one, after[at]));
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  } else if (isKeyed(old) && isKeyed(fresh)) {
    swapKeyed(old, fresh);
  } else if (!isBusy(old)) {
    old.replaceWith(document.adoptNode(fresh));
  }
}

/** @param {Element} old @param {Element} fresh */
function hasOwnText(old, fresh) {
  const text = (/** @type {Element} */ one) => [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.nodeValue.trim()).join(" ");
  return text(old) !== text(fresh);
}

/** @param {Element} part */
const isKeyed = (part) => part.children.length > 0 && [...part.children].every((one) => one.id);

/** Match rows by their ids: insert new ones and remove old ones. @param {Element} old @param {Element} fresh */
function swapKeyed(old, fresh) {
  const known = new Map([...old.children].map((one) => [one.id, one]));
  const wanted = new Set([...fresh.children].map((one) => one.id));
  // First, so that the rows behind a gone one keep their place: a row that is moved loses focus and selection.
  for (const [id, gone] of known) if (!wanted.has(id) && !isBusy(gone)) gone.remove();
  const next = (/** @type {Element | null} */ one) => {
    while (one && !wanted.has(one.id)) one = one.nextElementSibling;
    return one;
  };
  let place = next(old.firstElementChild);
  for (const one of [...fresh.children]) {
    const mine = known.get(one.id);
    if (!mine) {
      old.insertBefore(document.adoptNode(one), place);
      continue;
    }
    if (mine === place) place = next(place.nextElementSibling);
    else if (!isBusy(mine)) old.insertBefore(mine, place);
    swap(mine, one);
  }
}

/** Return the URL of a region. @param {HTMLElement} region */
const urlOf = (region) => region.dataset.live || location.pathname + location.search;

/** Fetch a URL and replace its regions. A document from XMLHttpRequest runs no script. @param {string} url */
function refresh(url) {
  if (pending.has(url)) return pending.set(url, true);
  pending.set(url, false);
  const request = new XMLHttpRequest();
  request.open("GET", url);
  request.responseType = "document";
  if (tags.has(url)) request.setRequestHeader("If-None-Match", tags.get(url));
  request.onload = () => {
    if (new URL(request.responseURL).pathname === "/login") return location.reload();
    if (request.status !== 200 || !request.response) return;
    tags.set(url, request.getResponseHeader("ETag") || "");
    for (const region of regions().filter((one) => urlOf(one) === url)) take(region, request.response, url);
  };
  request.onloadend = () => {
    const isWanted = pending.get(url);
    pending.delete(url);
    if (isWanted) refresh(url);
  };
  request.send();
}

/** Replace a region by that of a page. @param {HTMLElement} region @param {Document} page @param {string} url */
function take(region, page, url) {
  const fresh = page.getElementById(region.id);
  if (!fresh) return;
  // Parts move from one document to the other.
  const wanted = fresh.cloneNode(true);
  swap(region, fresh);
  // Try again for parts that were in use.
  if (!document.getElementById(region.id)?.isEqualNode(wanted)) tags.delete(url);
  document.dispatchEvent(new CustomEvent("elastic:swapped", { detail: region.id }));
}

/** Refresh all regions, at most once a second. */
export function refreshAll() {
  if (planned) return;
  planned = window.setTimeout(() => {
    planned = 0;
    last = Date.now();
    new Set(regions().map(urlOf)).forEach(refresh);
  }, Math.max(0, last + SHORTEST - Date.now()));
}

function open() {
  close();
  if (document.hidden || !regions().length) return undefined;
  if (paused) return show("paused", "");
  const topics = new Set(regions().flatMap((one) => (one.dataset.topics || "dags").split(" ")));
  stream = new EventSource(`/events?topics=${encodeURIComponent([...topics].join(" "))}`);
  stream.addEventListener("open", () => { retry = FIRST_RETRY; show("live", "on"); });
  stream.addEventListener("hint", refreshAll);
  stream.addEventListener("error", () => {
    close();
    show("offline", "off");
    timer = window.setTimeout(() => { open(); refreshAll(); }, retry);
    retry = Math.min(retry * 2, LONGEST_RETRY);
  });
  regular = window.setInterval(refreshAll, REGULAR);
}

function close() {
  window.clearTimeout(timer);
  window.clearInterval(regular);
  stream?.close();
  stream = null;
}

function rememberZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`elastic_zone=${zone}`)) document.cookie = `elastic_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return close();
  open();
  refreshAll();
});
document.addEventListener("elastic:refresh", refreshAll);
window.addEventListener("pagehide", close);
window.addEventListener("pageshow", open);
status?.addEventListener("click", () => {
  paused = !paused;
  localStorage.setItem("elastic-live", paused ? "paused" : "");
  open();
  if (!paused) refreshAll();
});
rememberZone();
