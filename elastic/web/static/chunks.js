// Grid of chunks: one byte per cell, drawn on a canvas. Without it, the table shows the same states.
const MAX_HEIGHT = 500, MIN_CELLS = 40, POLL = 1000;
const NAMES = ["to come", "cut", "sent", "received", "processed", "returned", "aggregated", "bad entries", "sent again", "redriven", "damaged"];
const MARKED = new Set([7, 8, 10]);
const canvas = document.getElementById("chunks");

for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;
const table = document.getElementById("chunk-table");
if (canvas && table) table.open = false;
if (canvas) start();

function start() {
  const { url, page, by, total } = canvas.dataset;
  const state = {
    first: Number(canvas.dataset.from), stop: Number(canvas.dataset.to), total: Number(total),
    cells: new Uint8Array(0), perCell: 1, size: 8, columns: 1, cursor: -1, by, live: Boolean(canvas.dataset.live),
    etag: "", colours: [], legend: [], busy: false, status: "", range: 0,
  };
  const text = document.getElementById("cell-text");

  // As many cells as fit with at least two pixels each.
  const room = () => Math.max(MIN_CELLS, Math.min(120000, Math.floor(canvas.clientWidth / 2) * Math.floor(MAX_HEIGHT / 2)));

  async function load() {
    if (state.busy) return;
    state.busy = true;
    const range = state.range;
    try {
      const query = new URLSearchParams({ by: state.by, cells: room() });
      if (state.first) query.set("from", state.first);
      if (state.stop < state.total) query.set("to", state.stop);
      const headers = state.etag ? { "If-None-Match": state.etag } : {};
      const answer = await fetch(`${url}?${query}`, { headers, cache: "no-store" });
      if (answer.status === 304) return;
      if (!answer.ok) {
        text.textContent = `The chunks could not be loaded (status ${answer.status}). Reload the page.`;
        return;
      }
      const cells = await answer.arrayBuffer();
      if (range !== state.range) return;
      state.etag = answer.headers.get("ETag") || "";
      take(cells);
    } catch {
      text.textContent = "The server does not respond. The grid shows the last known states.";
    } finally {
      state.busy = false;
      // The user has chosen another range meanwhile.
      if (range !== state.range) load();
    }
  }

  function take(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const wasWhole = state.stop >= state.total;
    Object.assign(state, { first: head.first, stop: head.stop, total: head.total, perCell: head.per_cell, legend: head.legend });
    if (!wasWhole && !state.live) state.stop = head.stop;
    state.cells = new Uint8Array(buffer, 4 + length);
    if (state.status && state.status !== head.state) { location.reload(); return; }
    state.status = head.state;
    state.live = head.is_running;
    document.getElementById("no-sign")?.toggleAttribute("hidden", head.has_sign);
    const bad = document.querySelector("[data-figure=bad]");
    if (bad && bad.textContent !== head.figures.bad) document.getElementById("more-bad")?.removeAttribute("hidden");
    for (const [name, value] of Object.entries(head.figures)) {
      for (const element of document.querySelectorAll(`[data-figure="${name}"]`)) {
        if (element.textContent !== value) element.textContent = value;
      }
    }
    legend();
    draw();
  }

  function legend() {
    const place = document.getElementById("legend");
    if (state.by === "state") {
      const seen = new Set(state.cells);
      for (const one of place.children) one.hidden = !(seen.has(Number(one.dataset.value)) || ["6", "7"].includes(one.dataset.value));
      return;
    }
    place.replaceChildren(...shades().map(([value, name]) => {
      const one = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = colour(value);
      swatch.style.borderColor = colour(value);
      one.append(swatch, name);
      return one;
    }));
  }

  // Values of the legend, with their names.
  function shades() {
    const highest = state.cells.reduce((most, value) => Math.max(most, value), 1);
    if (state.by === "worker" || state.by === "attempt") return state.legend.slice(0, 8).map((name, index) => [index + 1, name]);
    if (!state.legend.length) return [];
    const [low, high] = state.legend.map(Number);
    const name = state.by === "time" ? (value) => new Date(value / 1000).toLocaleTimeString() : (value) => `${value.toLocaleString("en")} entries`;
    return low === high ? [[1, name(low)]] : [[1, name(low)], [highest, name(high)]];
  }

  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

  function colour(value) {
    if (state.by === "state") return state.colours[value] || (state.colours[value] = stateColour(value));
    if (value === 0) return variable("--none-fill");
    if (state.by === "worker") return `hsl(${(value * 137.5 + 80) % 360} 52% ${dark() ? 58 : 50}%)`;
    if (state.by === "attempt") return value === 1 ? variable("--ok-fill") : `hsl(${Math.max(0, 48 - 14 * (value - 2))} 82% 52%)`;
    const share = (value - 1) / 15;
    return dark() ? `hsl(222 ${35 + 50 * share}% ${26 + 46 * share}%)` : `hsl(222 ${45 + 20 * share}% ${86 - 50 * share}%)`;
  }

  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The style sheet sets the colours of states: --fill in the classes c-0 to c-10.
  function stateColour(value) {
    const probe = document.createElement("span");
    probe.className = `c-${value}`;
    probe.hidden = true;
    document.body.append(probe);
    const found = getComputedStyle(probe).getPropertyValue("--fill").trim();
    probe.remove();
    return found;
  }

  function draw() {
    const began = performance.now();
    const width = canvas.clientWidth, count = state.cells.length, ratio = devicePixelRatio || 1;
    let size = 16;
    while (size > 2 && Math.ceil(count / Math.floor(width / size)) * size > MAX_HEIGHT) size -= 1;
    const columns = Math.max(1, Math.floor(width / size)), rows = Math.ceil(count / columns);
    Object.assign(state, { size, columns });
    const height = Math.max(size, rows * size);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const brush = canvas.getContext("2d");
    brush.scale(ratio, ratio);
    const gap = size >= 6 ? 1.5 : size >= 4 ? 1 : size === 3 ? .5 : 0;
    const byValue = new Map();
    for (let at = 0; at < count; at += 1) {
      const value = state.cells[at];
      if (!byValue.has(value)) byValue.set(value, []);
      byValue.get(value).push(at);
    }
    const values = [...byValue.keys()].sort((a, b) => MARKED.has(a) - MARKED.has(b));
    for (const value of values) {
      const marked = state.by === "state" && MARKED.has(value);
      const grow = marked && size < 5 ? (5 - size) / 2 : 0;
      brush.fillStyle = colour(value);
      if (gap === 0 && !grow) spans(brush, byValue.get(value), size, columns);
      else squares(brush, byValue.get(value), size, columns, gap, grow);
    }
    if (state.cursor >= 0 && state.cursor < count) {
      brush.strokeStyle = variable("--text");
      brush.lineWidth = 2;
      const x = (state.cursor % columns) * size, y = Math.floor(state.cursor / columns) * size, out = Math.max(0, (9 - size) / 2);
      brush.strokeRect(x - out, y - out, size - gap + 2 * out, size - gap + 2 * out);
    }
    canvas.dataset.drawn = String(count);
    canvas.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  // Draw adjacent cells without a gap as one rectangle.
  function spans(brush, cells, size, columns) {
    for (let at = 0; at < cells.length;) {
      const first = cells[at], row = Math.floor(first / columns);
      let length = 1;
      while (at + length < cells.length && cells[at + length] === first + length && Math.floor((first + length) / columns) === row) length += 1;
      brush.fillRect((first % columns) * size, row * size, length * size, size);
      at += length;
    }
  }

  function squares(brush, cells, size, columns, gap, grow) {
    const side = size - gap + 2 * grow, radius = size >= 6 ? Math.min(3, size / 5) : 0;
    brush.beginPath();
    for (const at of cells) {
      const x = (at % columns) * size - grow, y = Math.floor(at / columns) * size - grow;
      if (radius) brush.roundRect(x, y, side, side, radius);
      else brush.rect(x, y, side, side);
    }
    brush.fill();
  }

  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / state.size), row = Math.floor((event.clientY - box.top) / state.size);
    if (column < 0 || column >= state.columns || row < 0) return -1;
    const at = row * state.columns + column;
    const near = state.by === "state" && state.size < 6 ? marked(column, row) : -1;
    return near >= 0 ? near : at < state.cells.length ? at : -1;
  }

  // Small cells are drawn larger, so the pointer also hits them beside their position.
  function marked(column, row) {
    const reach = Math.ceil(4 / state.size);
    let best = -1, distance = Infinity;
    for (let y = Math.max(0, row - reach); y <= row + reach; y += 1) {
      for (let x = Math.max(0, column - reach); x <= Math.min(state.columns - 1, column + reach); x += 1) {
        const at = y * state.columns + x, away = Math.abs(x - column) + Math.abs(y - row);
        if (at < state.cells.length && MARKED.has(state.cells[at]) && away < distance) { best = at; distance = away; }
      }
    }
    return best;
  }

  function describe(at) {
    if (at < 0 || at >= state.cells.length) return "\u00a0";
    const first = state.first + at * state.perCell, last = Math.min(first + state.perCell, state.stop) - 1;
    const which = first === last ? `chunk ${first.toLocaleString("en")}` : `chunks ${first.toLocaleString("en")} to ${last.toLocaleString("en")}`;
    const value = state.cells[at];
    if (state.by === "state") return `${which}: ${state.perCell > 1 ? "worst is " : ""}${NAMES[value]}`;
    if (value === 0) return `${which}: unknown`;
    if (state.by === "worker" || state.by === "attempt") return `${which}: ${state.legend[value - 1]}`;
    return `${which}: part ${value} of the range of ${state.by}`;
  }

  function open(at) {
    if (at < 0) return;
    const first = state.first + at * state.perCell;
    if (state.perCell === 1) { location.assign(`${page}/chunks/${first}`); return; }
    const half = Math.max(2000, Math.floor((state.stop - state.first) / 20));
    show(Math.max(0, first - half), Math.min(state.total, first + half));
  }

  function show(first, stop) {
    Object.assign(state, { first, stop, cursor: -1, etag: "", range: state.range + 1 });
    const address = new URL(location.href);
    for (const [name, value, otherwise] of [["from", first, 0], ["to", stop, state.total]]) {
      if (value === otherwise) address.searchParams.delete(name); else address.searchParams.set(name, value);
    }
    history.replaceState(null, "", address);
    load();
  }

  function zoom(factor) {
    const length = state.stop - state.first;
    const middle = state.cursor >= 0 ? state.first + state.cursor * state.perCell : state.first + length / 2;
    const wanted = Math.min(state.total, Math.max(100, Math.round(length * factor)));
    const first = Math.max(0, Math.min(Math.round(middle - wanted / 2), state.total - wanted));
    show(first, first + wanted);
  }

  function move(at) {
    state.cursor = Math.max(0, Math.min(state.cells.length - 1, at));
    text.textContent = describe(state.cursor);
    draw();
  }

  function nextMarked(step) {
    for (let at = state.cursor + step; at >= 0 && at < state.cells.length; at += step) {
      if (MARKED.has(state.cells[at])) { move(at); return; }
    }
    text.textContent = "No further bad chunk in this direction.";
  }

  canvas.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    text.textContent = describe(at);
    canvas.style.cursor = at >= 0 ? "pointer" : "default";
  });
  canvas.addEventListener("pointerleave", () => { text.textContent = describe(state.cursor); });
  canvas.addEventListener("click", (event) => open(cellAt(event)));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: state.columns, ArrowUp: -state.columns };
    if (event.key in steps) move((state.cursor < 0 ? -Math.sign(steps[event.key]) : state.cursor) + steps[event.key]);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(state.cells.length - 1);
    else if (event.key === "e") nextMarked(1);
    else if (event.key === "E") nextMarked(-1);
    else if (event.key === "+") zoom(.5);
    else if (event.key === "-") zoom(2);
    else if (event.key === "Enter") open(state.cursor);
    else return;
    event.preventDefault();
  });
  document.getElementById("zoom-in").addEventListener("click", () => zoom(.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(2));

  let resizing = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(resizing);
    resizing = requestAnimationFrame(() => { if (state.cells.length) draw(); });
  }).observe(canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { state.colours = []; legend(); draw(); });

  load();
  const paused = () => localStorage.getItem("elastic-live") === "paused";
  setInterval(() => { if (state.live && !document.hidden && !paused()) load(); }, POLL);
}
