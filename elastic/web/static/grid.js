// Grid of a DAG: cells of task states on a canvas, with keys of a table, and names and a live region for screen readers.

const ROW = 24;
const MOST_STEP = 19, LEAST_STEP = 15, GAP = 3;
const BARS = 44;
const HEAD = BARS + 22;
const FOOT = 6;
const MOST_ROWS = 26;
const GROUP = 0, TASK = 1, GONE = 2;
const ABSENT = 0, NO_STATE = 1, SUCCESS = 5, FAILED = 6;
const INK = "#14181f";
const FAILURES = new Set([6, 7, 8]);
const RUN_ROW = 0;

/** @param {HTMLElement} box */
async function start(box) {
  let [structure, data] = await Promise.all([fetchJson(box.dataset.rows), fetchStates(box.dataset.states)]);
  // A new version of the DAG may come between the two: states of one version must not fill the rows of another.
  for (let tries = 0; structure.digest !== data.digest && tries < 3; tries++) {
    const rows = new URL(box.dataset.rows, location.href);
    rows.searchParams.set("version", data.digest);
    [structure, data] = await Promise.all([fetchJson(rows), fetchStates(box.dataset.states)]);
  }
  new Grid(box, structure, data);
}

function say(box, text) {
  const note = document.createElement("p");
  note.className = "empty";
  note.setAttribute("role", "status");
  note.textContent = text;
  box.replaceChildren(note);
}

async function answer(url) {
  const response = await fetch(url, { headers: { Accept: "*/*" }, credentials: "same-origin" });
  if (!response.ok) throw new Error(`the server returned status ${response.status}`);
  return response;
}

const fetchJson = async (url) => (await answer(url)).json();

/** Read the headers of runs (JSON after its length) and one byte per task and run, task by task. */
async function fetchStates(url) {
  const bytes = new Uint8Array(await (await answer(url)).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { ...head, cells: bytes.subarray(4 + length) };
}

class Grid {
  constructor(box, structure, data) {
    this.box = box;
    this.scroll = box.querySelector(".grid-scroll");
    this.sizer = box.querySelector(".grid-sizer");
    this.canvas = box.querySelector("canvas");
    this.cellName = box.querySelector("[role=gridcell]");
    this.rowName = this.cellName.parentElement;
    this.wrap = box.parentElement;
    this.tip = this.wrap.querySelector(".grid-tip");
    this.status = this.wrap.querySelector("[role=status]");
    this.pen = this.canvas.getContext("2d");
    this.structure = structure;
    this.looks = new Map(structure.looks.map((look) => [look.code, look]));
    this.rank = new Map(structure.attention.map((code, at) => [code, at]));
    this.closed = new Set(parameter("closed").split(",").filter(Boolean));
    this.onlyFailed = parameter("failed") === "1";
    this.search = "";
    this.chosen = null;
    this.at = { row: 0, run: 0 };
    this.hover = null;
    this.readColours();
    this.take(data);
    this.listen();
    this.place();
    this.scroll.scrollLeft = this.scroll.scrollWidth;
    this.draw();
    this.poll();
    box.dataset.ready = "1";
  }

  /** Add the tasks that only older versions have to the rows of the structure. */
  take(data) {
    this.runs = data.runs;
    this.cells = data.cells;
    this.copies = data.copies;
    this.newest = data.newest;
    const gone = data.gone.map((id) => ({ id, label: id, depth: 0, kind: GONE, facts: [], groups: [] }));
    this.rows = [...this.structure.rows, ...gone];
    let task = 0;
    for (const row of this.rows) if (row.kind !== GROUP) row.line = task++;
    this.longest = Math.max(1, ...this.runs.map((run) => run.seconds || 0));
    this.summarize();
    this.filter();
    const asked = { run: parameter("run"), task: parameter("task") };
    const column = this.runs.findIndex((run) => run.id === asked.run);
    const line = asked.task ? this.shown.findIndex((row) => row && row.id === asked.task) : RUN_ROW;
    if (column >= 0 && line >= 0) {
      this.at = { row: line, run: column };
      this.chosen = { ...this.at };
    } else {
      this.at = { row: RUN_ROW, run: Math.max(0, this.runs.length - 1) };
    }
  }

  /** Return the ids of the run and the row of a square; null for the row of runs. */
  named(place) {
    return place && { run: this.runs[place.run]?.id, row: this.shown[place.row]?.id ?? null };
  }

  /** Return where a square is now, or null if it is not shown. */
  placeOf(names) {
    if (!names) return null;
    const run = this.runs.findIndex((one) => one.id === names.run);
    const row = names.row === null ? RUN_ROW : this.shown.findIndex((one) => one && one.id === names.row);
    return run >= 0 && row >= 0 ? { row, run } : null;
  }

  /** Give each group the state of the task in it that needs the most attention. */
  summarize() {
    const count = this.runs.length;
    const groups = new Map();
    for (const row of this.rows) {
      if (row.kind === GROUP) {
        row.states = new Uint8Array(count);
        groups.set(row.id, row);
      }
    }
    for (const row of this.rows) {
      if (row.kind === GROUP) continue;
      row.states = this.cells.subarray(row.line * count, (row.line + 1) * count);
      for (const id of row.groups) {
        const group = groups.get(id);
        for (let at = 0; group && at < count; at++) group.states[at] = this.worse(group.states[at], row.states[at]);
      }
    }
  }

  worse(one, other) {
    if (one === ABSENT) return other;
    if (other === ABSENT) return one;
    return (this.rank.get(other) ?? 99) < (this.rank.get(one) ?? 99) ? other : one;
  }

  /** Select the visible rows; the first one is the row of runs. */
  filter() {
    const wanted = this.search.toLowerCase();
    const matches = (row) =>
      (!wanted || row.id.toLowerCase().includes(wanted)) && (!this.onlyFailed || row.states.some((s) => FAILURES.has(s)));
    const isFiltered = wanted || this.onlyFailed;
    const around = new Set();
    if (isFiltered) {
      for (const row of this.rows) if (row.kind !== GROUP && matches(row)) row.groups.forEach((id) => around.add(id));
    }
    this.shown = [null];
    for (const row of this.rows) {
      if (isFiltered ? (row.kind === GROUP ? !around.has(row.id) : !matches(row)) : row.groups.some((id) => this.closed.has(id)))
        continue;
      this.shown.push(row);
    }
    this.at.row = Math.min(this.at.row, this.shown.length - 1);
  }

  readColours() {
    const style = getComputedStyle(this.box);
    const read = (name) => style.getPropertyValue(name).trim();
    this.colours = {
      text: read("--text"), muted: read("--muted"), faint: read("--faint"), line: read("--line"), strong: read("--line-strong"),
      surface: read("--surface"), accent: read("--accent"), sunken: read("--sunken"),
    };
    this.fills = new Map();
    const sample = document.createElement("span");
    this.wrap.append(sample);
    for (const look of this.looks.values()) {
      sample.className = `s-${look.name.replaceAll("_", "-")}`;
      const own = getComputedStyle(sample);
      this.fills.set(look.code, { fill: own.getPropertyValue("--fill").trim(), edge: own.getPropertyValue("--edge").trim() });
    }
    sample.remove();
    this.mark = read("--mark") || "#fff";
    this.font = read("--font") || "sans-serif";
  }

  /** Set the size of the canvas to the visible part of the grid; it is redrawn when the box scrolls. */
  place() {
    this.left = this.labelWidth();
    this.step = clamp(Math.floor((this.scroll.clientWidth - this.left - 6) / Math.max(1, this.runs.length)), LEAST_STEP, MOST_STEP);
    this.cell = this.step - GAP;
    const width = this.left + this.runs.length * this.step + 6;
    const height = HEAD + this.shown.length * ROW + FOOT;
    this.sizer.style.width = `${width}px`;
    this.sizer.style.height = `${height}px`;
    this.scroll.style.maxHeight = `${HEAD + MOST_ROWS * ROW + FOOT}px`;
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(1, this.scroll.clientWidth);
    this.height = Math.max(1, Math.min(this.scroll.clientHeight || height, height));
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.box.setAttribute("aria-rowcount", String(this.shown.length));
    this.box.setAttribute("aria-colcount", String(this.runs.length));
  }

  labelWidth() {
    this.pen.font = `13px ${this.font}`;
    const most = Math.max(110, Math.min(280, this.scroll.clientWidth * 0.36));
    // The duration of the longest run is above the labels.
    let widest = 136;
    for (const row of this.rows) {
      if (row.label.length * 9 + row.depth * 14 + 80 < widest) continue;
      widest = Math.max(widest, this.pen.measureText(this.labelOf(row)).width + row.depth * 14 + 34);
      if (widest >= most) return most;
    }
    return Math.ceil(widest);
  }

  labelOf(row) {
    if (!row) return "run";
    const copies = this.copies[row.id];
    return copies ? `${row.label} [${copies}]` : row.label;
  }

  ask() {
    if (!this.isAsked) {
      this.isAsked = true;
      requestAnimationFrame(() => { this.isAsked = false; this.draw(); });
    }
  }

  draw() {
    const { pen, colours } = this;
    const down = this.scroll.scrollTop, right = this.scroll.scrollLeft;
    pen.clearRect(0, 0, this.width, this.height);
    pen.fillStyle = colours.surface;
    pen.fillRect(0, 0, this.width, this.height);
    const first = Math.max(0, Math.floor(down / ROW));
    const last = Math.min(this.shown.length, Math.ceil((down + this.height - HEAD) / ROW) + 1);
    const firstRun = Math.max(0, Math.floor(right / this.step));
    const lastRun = Math.min(this.runs.length, Math.ceil((right + this.width - this.left) / this.step) + 1);
    pen.textBaseline = "middle";
    pen.save();
    pen.beginPath();
    pen.rect(0, HEAD, this.width, this.height - HEAD);
    pen.clip();
    for (let at = first; at < last; at++) {
      const y = HEAD + at * ROW - down + ROW / 2;
      if (this.at.row === at && this.isFocused || this.hover && this.hover.row === at) {
        pen.fillStyle = colours.sunken;
        pen.fillRect(0, y - ROW / 2, this.width, ROW);
      }
      pen.save();
      pen.beginPath();
      pen.rect(this.left, HEAD, this.width - this.left, this.height);
      pen.clip();
      for (let run = firstRun; run < lastRun; run++) this.square(at, run, this.left + run * this.step - right, y);
      pen.restore();
      this.label(at, y);
    }
    pen.restore();
    this.header(firstRun, lastRun, right);
    if (down > 0) this.rule(0, HEAD - 0.5, this.width, HEAD - 0.5);
    if (right > 0) this.rule(this.left - 3.5, HEAD, this.left - 3.5, this.height);
  }

  rule(x1, y1, x2, y2) {
    this.pen.strokeStyle = this.colours.line;
    this.pen.lineWidth = 1;
    this.pen.beginPath();
    this.pen.moveTo(x1, y1);
    this.pen.lineTo(x2, y2);
    this.pen.stroke();
  }

  state(at, run) {
    const row = this.shown[at];
    return row ? row.states[run] : this.runs[run].state;
  }

  square(at, run, x, y) {
    const { pen, colours } = this;
    const code = this.state(at, run);
    if (code === ABSENT) return;
    const look = this.fills.get(code);
    const top = y - this.cell / 2;
    pen.beginPath();
    pen.roundRect(x + 0.75, top + 0.75, this.cell - 1.5, this.cell - 1.5, 3);
    pen.fillStyle = look.fill;
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = look.edge;
    pen.stroke();
    if (code !== SUCCESS) {
      pen.fillStyle = code === FAILED ? this.mark : code === NO_STATE ? colours.faint : INK;
      pen.font = `600 11px ${this.font}`;
      pen.textAlign = "center";
      pen.fillText(this.looks.get(code).glyph, x + this.cell / 2, y + 0.5);
    }
    const isChosen = this.chosen && this.chosen.row === at && this.chosen.run === run;
    const isAt = this.isFocused && this.at.row === at && this.at.run === run;
    if (isChosen || isAt) {
      pen.strokeStyle = isAt ? this.colours.accent : this.colours.text;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.roundRect(x - 1, top - 1, this.cell + 2, this.cell + 2, 4);
      pen.stroke();
    }
  }

  label(at, y) {
    const { pen, colours } = this;
    const row = this.shown[at];
    const isStrong = !row || row.kind === GROUP || row.depth === 0;
    let x = row ? row.depth * 14 : 0;
    pen.textAlign = "left";
    if (row && row.kind === GROUP) {
      pen.fillStyle = colours.muted;
      pen.font = `10px ${this.font}`;
      pen.fillText(this.closed.has(row.id) ? "▸" : "▾", x, y);
      x += 14;
    } else if (row && this.hasGroups()) x += 14;
    pen.fillStyle = row && row.kind === GONE ? colours.faint : isStrong ? colours.text : colours.muted;
    pen.font = `${row && row.kind === GONE ? "italic " : ""}${!row || row.kind === GROUP ? "550 " : ""}13px ${this.font}`;
    pen.fillText(shortened(pen, this.labelOf(row), this.left - x - 12), x, y);
  }

  hasGroups() {
    this.grouped ??= this.rows.some((row) => row.kind === GROUP);
    return this.grouped;
  }

  header(first, last, right) {
    const { pen, colours } = this;
    pen.save();
    pen.beginPath();
    pen.rect(this.left - 2, 0, this.width, HEAD);
    pen.clip();
    let free = -1e9;
    for (let run = first; run < last; run++) {
      const head = this.runs[run];
      const x = this.left + run * this.step - right;
      const height = Math.max(3, ((head.seconds || 0) / this.longest) * (BARS - 10));
      const look = this.fills.get(head.state);
      const isPlain = head.state === SUCCESS || head.state === NO_STATE;
      pen.fillStyle = isPlain ? colours.strong : look.fill;
      pen.beginPath();
      pen.roundRect(x + 0.75, BARS - height, this.cell - 1.5, height, [2, 2, 0, 0]);
      pen.fill();
      if (!isPlain) {
        pen.strokeStyle = look.edge;
        pen.lineWidth = 1.5;
        pen.stroke();
      }
      if (run > 0 && head.version !== this.runs[run - 1].version) {
        this.rule(x - 1.5, 4, x - 1.5, HEAD - 2);
        pen.fillStyle = colours.faint;
        pen.font = `10px ${this.font}`;
        pen.textAlign = "right";
        if (head.version) pen.fillText(`v${head.version}`, x - 4, 8);
      }
      if (run % 7 === 0 && x >= free && x + 44 < this.width) {
        pen.fillStyle = colours.faint;
        pen.font = `11px ${this.font}`;
        pen.textAlign = "left";
        pen.fillText(head.label, x, BARS + 11);
        free = x + pen.measureText(head.label).width + 10;
      }
    }
    pen.restore();
    pen.fillStyle = colours.faint;
    pen.font = `11px ${this.font}`;
    pen.textAlign = "left";
    pen.fillText(`longest ${duration(this.longest)}`, 0, BARS - 8);
  }

  listen() {
    this.scroll.addEventListener("scroll", () => this.ask(), { passive: true });
    new ResizeObserver(() => { this.place(); this.ask(); }).observe(this.scroll);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.readColours(); this.ask(); });
    this.scroll.addEventListener("pointermove", (event) => this.point(this.cellAt(event), event));
    this.scroll.addEventListener("pointerleave", () => this.point(null));
    this.scroll.addEventListener("click", (event) => this.click(event));
    this.scroll.addEventListener("dblclick", (event) => { if (this.cellAt(event)) this.open(); });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("focus", () => { this.isFocused = true; this.name(); this.ask(); });
    this.box.addEventListener("blur", () => { this.isFocused = false; this.point(null); this.ask(); });
    const search = document.getElementById("grid-search");
    search?.addEventListener("input", () => { this.search = search.value; this.refilter(); });
    const failed = document.getElementById("grid-failed");
    if (failed) {
      failed.checked = this.onlyFailed;
      failed.addEventListener("change", () => {
        this.onlyFailed = failed.checked;
        remember({ failed: failed.checked ? "1" : "" });
        this.refilter();
      });
    }
  }

  refilter() {
    this.filter();
    this.chosen = null;
    this.place();
    this.ask();
    this.status.textContent = `${this.shown.length - 1} rows`;
  }

  /** Return the cell under the pointer; `run` is -1 over a label. */
  cellAt(event) {
    const edge = this.scroll.getBoundingClientRect();
    const x = event.clientX - edge.left, y = event.clientY - edge.top;
    const row = y < HEAD ? RUN_ROW : Math.floor((y - HEAD + this.scroll.scrollTop) / ROW);
    const run = x < this.left - 2 ? -1 : Math.floor((x - this.left + this.scroll.scrollLeft) / this.step);
    if (row >= this.shown.length || run >= this.runs.length) return null;
    return { row, run };
  }

  point(cell, event) {
    const before = this.hover;
    this.hover = cell;
    this.scroll.classList.toggle("is-over", Boolean(cell));
    if (!cell || cell.run < 0 && !this.shown[cell.row]) this.tip.hidden = true;
    else if (!before || before.row !== cell.row || before.run !== cell.run) this.describe(cell);
    if (event && !this.tip.hidden) this.moveTip(event.clientX, event.clientY);
    if (cell?.row !== before?.row) this.ask();
  }

  /** Fill the tooltip. */
  describe(cell) {
    const row = this.shown[cell.row];
    const title = document.createElement("b");
    title.textContent = row ? row.id : `run ${this.runs[cell.run].id}`;
    const facts = document.createElement("dl");
    const add = (name, value) => {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name;
      text.textContent = value;
      facts.append(term, text);
    };
    if (cell.run >= 0) {
      const head = this.runs[cell.run];
      const code = this.state(cell.row, cell.run);
      add("state", code === ABSENT ? "not in this run" : `${this.looks.get(code).glyph} ${this.looks.get(code).label}`);
      add("date", head.title);
      if (!row) {
        add("took", head.seconds === null ? "not ended" : duration(head.seconds));
        if (head.version) add("version", `v${head.version}`);
        add("started by", head.type);
      }
    }
    if (row?.kind === GONE) add("task", "only older versions of the DAG have it");
    for (const [name, value] of row ? row.facts : []) add(name, value);
    this.tip.replaceChildren(title, facts);
    this.tip.hidden = false;
  }

  moveTip(x, y) {
    const edge = this.wrap.getBoundingClientRect();
    const width = this.tip.offsetWidth, height = this.tip.offsetHeight;
    const left = Math.min(x - edge.left + 14, document.documentElement.clientWidth - edge.left - width - 8);
    const below = y + 18 + height < window.innerHeight;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${below ? y - edge.top + 18 : y - edge.top - height - 12}px`;
  }

  click(event) {
    const cell = this.cellAt(event);
    if (!cell) return;
    const row = this.shown[cell.row];
    if (row?.kind === GROUP && cell.run < 0) this.toggle(row);
    else if (cell.run >= 0) {
      this.at = cell;
      this.choose();
    }
  }

  toggle(row) {
    if (this.closed.has(row.id)) this.closed.delete(row.id);
    else this.closed.add(row.id);
    remember({ closed: [...this.closed].join(",") });
    this.refilter();
    this.name();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-20, 0], PageDown: [20, 0] };
    const row = this.shown[this.at.row];
    if (moves[event.key]) {
      this.at.row = clamp(this.at.row + moves[event.key][0], 0, this.shown.length - 1);
      this.at.run = clamp(this.at.run + moves[event.key][1], 0, this.runs.length - 1);
    } else if (event.key === "Home") this.at.run = 0;
    else if (event.key === "End") this.at.run = this.runs.length - 1;
    else if (event.key === " ") {
      if (row?.kind === GROUP) this.toggle(row);
      else this.choose();
    } else if (event.key === "Enter") return this.stop(event, () => this.open());
    else if (event.key === "l" && row?.kind === TASK) return this.stop(event, () => go(this.address("?tab=log")));
    else if (event.key === "c" && this.box.dataset.clear) return this.stop(event, () => go(this.clearAddress()));
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.reveal();
    this.name();
    this.ask();
  }

  stop(event, action) {
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  reveal() {
    const y = this.at.row * ROW, x = this.at.run * this.step;
    const high = this.height - HEAD, wide = this.width - this.left;
    if (y < this.scroll.scrollTop) this.scroll.scrollTop = y;
    else if (y + ROW > this.scroll.scrollTop + high) this.scroll.scrollTop = y + ROW - high;
    if (x < this.scroll.scrollLeft) this.scroll.scrollLeft = x;
    else if (x + this.step > this.scroll.scrollLeft + wide) this.scroll.scrollLeft = x + this.step - wide;
  }

  /** Announce the current cell to screen readers, and show its tooltip. */
  name() {
    if (!this.runs.length) return;
    const row = this.shown[this.at.row], head = this.runs[this.at.run];
    const code = this.state(this.at.row, this.at.run);
    const state = code === ABSENT ? "not in this run" : this.looks.get(code).label;
    const kind = row?.kind === GROUP ? `group ${row.id}${this.closed.has(row.id) ? ", closed" : ""}` : row ? row.id : "run";
    this.cellName.textContent = `${kind}, ${head.title}: ${state}`;
    this.cellName.setAttribute("aria-colindex", String(this.at.run + 1));
    this.rowName.setAttribute("aria-rowindex", String(this.at.row + 1));
    this.status.textContent = this.cellName.textContent;
    if (this.isFocused && this.box.matches(":focus-visible")) {
      this.describe(this.at);
      const edge = this.scroll.getBoundingClientRect();
      this.moveTip(
        edge.left + this.left + (this.at.run + 1) * this.step - this.scroll.scrollLeft,
        edge.top + HEAD + this.at.row * ROW - this.scroll.scrollTop + 4,
      );
    }
  }

  address(query = "") {
    const row = this.shown[this.at.row], head = this.runs[this.at.run];
    const run = `${this.box.dataset.runs}/${encodeURIComponent(head.id)}`;
    return !row ? run : row.kind === GROUP ? `${run}?group=${encodeURIComponent(row.id)}` : `${run}/tasks/${encodeURIComponent(row.id)}${query}`;
  }

  clearAddress() {
    const row = this.shown[this.at.row], head = this.runs[this.at.run];
    const task = row && row.kind === TASK ? `&task=${encodeURIComponent(row.id)}` : "";
    return `${this.box.dataset.clear}?run=${encodeURIComponent(head.id)}${task}`;
  }

  open() {
    if (this.runs.length && this.state(this.at.row, this.at.run) !== ABSENT) go(this.address());
  }

  /** Show the details of the current cell in the panel. */
  choose() {
    if (!this.runs.length) return;
    const row = this.shown[this.at.row], head = this.runs[this.at.run];
    this.chosen = { ...this.at };
    this.ask();
    this.name();
    remember({ run: head.id, task: row && row.kind !== GROUP ? row.id : "" });
    if (row?.kind === GROUP) return;
    this.tip.hidden = true;
    this.box.dispatchEvent(new CustomEvent("choose", { bubbles: true, detail: { url: `${this.address()}/panel` } }));
  }

  /** Fetch the states of the runs that have not ended, and new runs. */
  poll() {
    const look = async (isAsked) => {
      if (!isAsked && (document.hidden || localStorage.getItem("elastic-live") === "paused") || this.isPolling) return;
      const active = this.runs.filter((run) => !run.is_final).map((run) => run.id);
      if (!isAsked && !active.length && this.idle++ % 6) return;
      this.isPolling = true;
      try {
        const url = new URL(this.box.dataset.states, location.href);
        active.forEach((id) => url.searchParams.append("run", id));
        if (!active.length) url.searchParams.set("run", "");
        this.patch(await fetchStates(url));
      } catch {
        // The next turn tries again; live.js shows that the server is offline.
      } finally {
        this.isPolling = false;
      }
    };
    setInterval(look, 5000);
    document.addEventListener("elastic:refresh", () => look(true));
    document.addEventListener("elastic:swapped", (event) => {
      const head = event.detail === "dag-head" && document.getElementById("dag-head");
      if (head && head.dataset.digest !== this.structure.digest) look(true);
    });
  }

  async patch(data) {
    if (data.newest !== this.newest || data.digest !== this.structure.digest || data.gone.some((id) => !this.rows.some((row) => row.id === id))) {
      if (data.digest !== this.structure.digest) {
        // A new version of the DAG has other rows. The URL keeps the view; do not reload the page of a busy user.
        if (document.activeElement === document.body && this.tip.hidden) location.reload();
        return;
      }
      // A new run moves the columns: a square is that of its run and row, not that of its place.
      const at = this.named(this.at), chosen = this.named(this.chosen);
      this.take(await fetchStates(this.box.dataset.states));
      this.at = this.placeOf(at) ?? this.at;
      this.chosen = this.placeOf(chosen);
      this.place();
      this.name();
      this.ask();
      return;
    }
    const count = this.runs.length, some = data.runs.length;
    const lines = new Map(this.rows.filter((row) => row.kind !== GROUP).map((row) => [row.line, row]));
    const cells = new Uint8Array(this.cells);
    data.runs.forEach((head, from) => {
      const to = this.runs.findIndex((run) => run.id === head.id);
      if (to < 0) return;
      this.runs[to] = head;
      for (const row of lines.values()) {
        const at = row.kind === GONE ? this.goneLine(row, data) : row.line;
        if (at >= 0) cells[row.line * count + to] = data.cells[at * some + from];
      }
    });
    this.cells = cells;
    this.longest = Math.max(1, ...this.runs.map((run) => run.seconds || 0));
    this.summarize();
    this.ask();
  }

  goneLine(row, data) {
    const at = data.gone.indexOf(row.id);
    return at < 0 ? -1 : this.structure.rows.filter((one) => one.kind !== GROUP).length + at;
  }

  idle = 0;
}

function shortened(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}

function duration(seconds) {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const go = (url) => location.assign(url);
const parameter = (name) => new URLSearchParams(location.search).get(name) || "";

/** Store a part of the view in the URL. */
function remember(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  history.replaceState(null, "", url);
}

const box = document.getElementById("grid");
if (box) {
  for (const part of document.querySelectorAll("[data-needs-script]")) part.hidden = false;
  start(box).catch((error) => say(box, `The grid could not be loaded: ${error.message}. Reload the page.`));
}
