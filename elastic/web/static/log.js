// Log of a task instance: load earlier pieces on scroll, follow the end, filter, search; keep at most 5,000 lines.

const MOST_LINES = 5000;
const POLL = 1500;
const LEVELS = { warning: new Set(["warning", "error", "critical"]), error: new Set(["error", "critical"]) };

class Log {
  constructor(box) {
    this.box = box;
    this.start = Number(box.dataset.start);
    this.end = Number(box.dataset.end);
    this.size = Number(box.dataset.size);
    // Offsets that limit the log to one try.
    this.first = Number(box.dataset.first);
    this.limits = `first=${this.first}${box.dataset.stop ? `&stop=${box.dataset.stop}` : ""}`;
    this.follow = document.getElementById("log-follow");
    this.level = document.getElementById("log-level");
    this.find = document.getElementById("log-find");
    this.hits = document.getElementById("log-hits");
    this.wrap = document.getElementById("log-wrap");
    for (const part of document.querySelectorAll("[data-needs-script]")) part.hidden = false;
    this.restore();
    this.listen();
    const marked = document.getElementById(location.hash.slice(1) || box.dataset.marked || "");
    if (marked) {
      marked.classList.add("marked");
      box.scrollTop = marked.offsetTop - 60;
    } else if (this.end >= this.size) box.scrollTop = box.scrollHeight;
    this.isEnd = this.end >= this.size;
    if (this.follow.checked && !marked) box.scrollTop = box.scrollHeight;
    this.poll();
    box.dataset.ready = "1";
  }

  restore() {
    const parameters = new URLSearchParams(location.search);
    this.level.value = parameters.get("level") || "";
    this.wrap.checked = localStorage.getItem("log-wrap") !== "0";
    this.box.classList.toggle("is-wrapped", this.wrap.checked);
    this.filter();
  }

  listen() {
    this.box.addEventListener("scroll", () => {
      const below = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
      if (this.box.scrollTop < 200 && this.start > this.first) this.earlier();
      if (below < 200 && !this.isEnd) this.later();
      // A user who scrolls away from the end, by wheel, key, bar or touch, reads there.
      if (below > 40) this.follow.checked = false;
    }, { passive: true });
    this.box.addEventListener("click", (event) => this.link(event));
    this.level.addEventListener("change", () => {
      const url = new URL(location.href);
      if (this.level.value) url.searchParams.set("level", this.level.value);
      else url.searchParams.delete("level");
      history.replaceState(null, "", url);
      this.filter();
    });
    this.wrap.addEventListener("change", () => {
      localStorage.setItem("log-wrap", this.wrap.checked ? "1" : "0");
      this.box.classList.toggle("is-wrapped", this.wrap.checked);
    });
    this.find.addEventListener("input", () => this.search());
    this.find.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.next(event.shiftKey ? -1 : 1);
      }
    });
    this.follow.addEventListener("change", () => { if (this.follow.checked) this.toEnd(); });
  }

  /** Put the link to the clicked line into the URL without loading the page. */
  link(event) {
    const number = event.target.closest("a.number");
    if (!number || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const line of this.box.querySelectorAll(".marked")) line.classList.remove("marked");
    number.parentElement.classList.add("marked");
    history.replaceState(null, "", number.href);
    navigator.clipboard?.writeText(number.href).then(
      () => { this.hits.textContent = "link copied"; },
      () => { this.hits.textContent = "link is in the address bar"; },
    );
  }

  async ask(query) {
    const response = await fetch(`${this.box.dataset.url}?${this.limits}&${query}`, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`the server returned status ${response.status}`);
    return response.json();
  }

  async earlier() {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      const piece = await this.ask(`before=${this.start}`);
      const height = this.box.scrollHeight, top = this.box.scrollTop;
      this.box.prepend(...piece.lines.map((line) => this.element(line)));
      this.start = piece.start;
      this.trim(false);
      this.box.scrollTop = top + this.box.scrollHeight - height;
      this.filter();
    } catch {
      // The next scroll tries again.
    } finally {
      this.isBusy = false;
    }
  }

  async later() {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      this.add(await this.ask(`from=${this.end}`));
    } catch {
      // The next turn tries again.
    } finally {
      this.isBusy = false;
    }
  }

  add(piece) {
    if (piece.size < this.end) {
      this.box.replaceChildren();
      this.start = piece.start;
    }
    const last = document.getElementById(`b${this.end}`), partial = piece.partial ? this.element(piece.partial) : null;
    // An unfinished line that has not grown stays, with what is selected in it.
    const isNew = piece.end > this.end || last?.textContent !== partial?.textContent;
    if (isNew) {
      last?.remove();
      this.box.append(...piece.lines.map((line) => this.element(line)));
      if (partial) this.box.append(partial);
      this.trim(true);
      this.filter();
    }
    this.end = piece.end;
    this.size = piece.size;
    this.isEnd = piece.end + (piece.partial ? 1 : 0) >= piece.size || Boolean(piece.partial) || piece.end === piece.size;
    document.getElementById("log-size").textContent = bytes(piece.size - this.first);
    if (isNew && this.follow.checked) this.box.scrollTop = this.box.scrollHeight;
  }

  /** Fetch the lines after the last whole one as long as the attempt runs and the page is visible. */
  poll() {
    setTimeout(async () => {
      const isPaused = localStorage.getItem("elastic-live") === "paused";
      if (this.follow.checked && !document.hidden && !isPaused) await this.later();
      this.poll();
    }, this.box.dataset.final ? POLL * 4 : POLL);
  }

  async toEnd() {
    if (!this.isEnd) {
      const piece = await this.ask("");
      this.box.replaceChildren();
      this.start = piece.start;
      this.end = piece.start;
      this.add(piece);
    }
    this.box.scrollTop = this.box.scrollHeight;
  }

  trim(fromTop) {
    while (this.box.childElementCount > MOST_LINES) {
      if (fromTop) {
        this.box.firstElementChild.remove();
        this.start = Number(this.box.firstElementChild.id.slice(1));
      } else {
        this.end = Number(this.box.lastElementChild.id.slice(1));
        this.box.lastElementChild.remove();
        this.isEnd = false;
      }
    }
  }

  element([offset, number, level, text, cut]) {
    const line = document.createElement("span");
    line.className = `line${level ? ` is-${level}` : ""}`;
    line.id = `b${offset}`;
    line.dataset.level = level;
    const link = document.createElement("a");
    link.className = "number";
    link.href = `${this.box.dataset.page}&at=${offset}#b${offset}`;
    link.setAttribute("aria-label", "Link to this line");
    link.textContent = number || "·";
    const content = document.createElement("span");
    content.className = "text";
    content.append(text);
    if (cut) {
      const more = document.createElement("a");
      more.className = "link";
      more.href = `${this.box.dataset.url}/raw`;
      more.textContent = `… ${cut.toLocaleString("en")} bytes more`;
      content.append(" ", more);
    }
    content.append("\n");
    line.append(link, content);
    return line;
  }

  filter() {
    const shown = LEVELS[this.level.value];
    for (const line of this.box.children) line.hidden = Boolean(shown) && !shown.has(line.dataset.level);
  }

  search() {
    const wanted = this.find.value.toLowerCase();
    this.found = [];
    for (const line of this.box.children) {
      const isFound = Boolean(wanted) && line.lastElementChild.textContent.toLowerCase().includes(wanted);
      line.classList.toggle("found", isFound);
      if (isFound) this.found.push(line);
    }
    this.hits.textContent = wanted ? `${this.found.length} line${this.found.length === 1 ? "" : "s"}` : "";
    this.current = -1;
    if (this.found.length) this.next(1);
  }

  next(step) {
    if (!this.found?.length) return;
    this.current = (this.current + step + this.found.length) % this.found.length;
    this.follow.checked = false;
    const line = this.found[this.current];
    this.box.scrollTop = line.offsetTop - this.box.clientHeight / 3;
    this.hits.textContent = `${this.current + 1} of ${this.found.length}`;
  }
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    count /= 1000;
    if (count < 999.95) return `${count.toFixed(1)} ${unit}`;
  }
  return `${count.toFixed(0)} TB`;
}

const box = document.getElementById("log");
if (box) new Log(box);
