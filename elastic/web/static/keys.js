// Keyboard shortcuts: / searches, g d opens the DAGs, j and k move between rows, ? lists all. Pages add their own.

/** @type {Map<string, {text: string, run: () => void}>} */
const keys = new Map();
let first = "", firstAt = 0;

/** Add a key, or two keys in a row such as "g d". @param {string} name @param {string} text @param {() => void} run */
export function addKey(name, text, run) {
  keys.set(name, { text, run });
}

/** @param {string} path */
const go = (path) => () => { if (document.querySelector(`.nav a[href="${path}"]`)) location.assign(path); };

/** @param {number} by */
function move(by) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("tbody tr a.name, tbody tr td:first-child a")]);
  const at = rows.findIndex((one) => one.closest("tr") === document.activeElement?.closest("tr"));
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}

function showAll() {
  const known = document.getElementById("keys-help");
  const dialog = /** @type {HTMLDialogElement} */ (known || document.createElement("dialog"));
  dialog.id = "keys-help";
  const title = document.createElement("h2"), list = document.createElement("dl");
  title.textContent = "Keyboard shortcuts";
  for (const [name, { text }] of keys) {
    const term = document.createElement("dt"), what = document.createElement("dd");
    for (const part of name.split(" ")) {
      const key = document.createElement("kbd");
      key.textContent = part;
      term.append(key, " ");
    }
    what.textContent = text;
    list.append(term, what);
  }
  const form = document.createElement("form"), button = document.createElement("button");
  form.method = "dialog";
  button.className = "btn";
  button.textContent = "Close";
  form.append(button);
  dialog.replaceChildren(title, list, form);
  dialog.className = "stack";
  if (!known) document.body.append(dialog);
  dialog.showModal();
}

addKey("/", "search", () => /** @type {HTMLElement | null} */ (document.querySelector("[data-key='/']"))?.focus());
addKey("g d", "go to the DAGs", go("/"));
addKey("g f", "go to the flows", go("/flows"));
addKey("g b", "go to Browse", go("/browse/runs"));
addKey("g a", "go to Admin", go("/admin/connections"));
addKey("j", "next row", () => move(1));
addKey("k", "previous row", () => move(-1));
addKey("r", "refresh", () => document.dispatchEvent(new CustomEvent("elastic:refresh")));
for (const { dataset, textContent } of document.querySelectorAll("a[data-key]")) {
  addKey(dataset.key, dataset.keyText || textContent.trim(), () => /** @type {HTMLElement | null} */ (document.querySelector(`a[data-key="${dataset.key}"]`))?.click());
}
addKey("?", "show keyboard shortcuts", showAll);

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape") {
    document.querySelectorAll("details.menu[open]").forEach((one) => one.removeAttribute("open"));
    return target.matches("input, textarea, select") ? target.blur() : undefined;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || target.isContentEditable || target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
  const two = Date.now() - firstAt < 1_000 ? `${first} ${event.key}` : "";
  const found = keys.get(two) || keys.get(event.key);
  first = event.key;
  firstAt = Date.now();
  if (!found) return;
  event.preventDefault();
  found.run();
});
document.addEventListener("click", (event) => {
  document.querySelectorAll("details.menu[open]").forEach((one) => { if (!one.contains(/** @type {Node} */ (event.target))) one.removeAttribute("open"); });
});
