// Graph of tasks: hover and focus highlight upstream and downstream tasks; buttons and keys zoom.

const box = document.getElementById("graph");
if (box) start(box);

function start(box) {
  const svg = box.querySelector("svg");
  const width = Number(svg.getAttribute("width")), height = Number(svg.getAttribute("height"));
  const edges = [...svg.querySelectorAll(".edges path")];
  const nodes = new Map([...svg.querySelectorAll(".node")].map((node) => [node.dataset.task, node]));
  const next = { from: new Map(), to: new Map() };
  for (const edge of edges) {
    const { from, to } = edge.dataset;
    next.from.set(from, [...(next.from.get(from) || []), edge]);
    next.to.set(to, [...(next.to.get(to) || []), edge]);
  }

  const light = (task) => {
    svg.classList.toggle("is-lit", Boolean(task));
    for (const part of svg.querySelectorAll(".lit")) part.classList.remove("lit");
    if (!task) return;
    nodes.get(task).classList.add("lit");
    for (const [direction, end] of [["from", "to"], ["to", "from"]]) {
      const pending = [task], seen = new Set(pending);
      while (pending.length) {
        for (const edge of next[direction].get(pending.pop()) || []) {
          edge.classList.add("lit");
          const other = edge.dataset[end];
          nodes.get(other)?.classList.add("lit");
          if (!seen.has(other)) {
            seen.add(other);
            pending.push(other);
          }
        }
      }
    }
  };
  for (const [task, node] of nodes) {
    node.addEventListener("pointerenter", () => light(task));
    node.addEventListener("pointerleave", () => light(null));
    node.addEventListener("focus", () => light(task));
    node.addEventListener("blur", () => light(null));
  }

  let scale = 1;
  const fit = () => Math.min(1, (box.clientWidth - 2) / width);
  const zoom = (wanted, x = box.clientWidth / 2, y = box.clientHeight / 2) => {
    const before = scale;
    scale = Math.max(0.1, Math.min(3, wanted));
    svg.setAttribute("width", String(width * scale));
    svg.setAttribute("height", String(height * scale));
    box.scrollLeft = ((box.scrollLeft + x) * scale) / before - x;
    box.scrollTop = ((box.scrollTop + y) * scale) / before - y;
  };
  const tools = document.querySelector(".graph-zoom");
  tools.hidden = false;
  tools.addEventListener("click", (event) => {
    const kind = event.target.closest("button")?.dataset.zoom;
    if (kind) zoom(kind === "fit" ? fit() : scale * (kind === "in" ? 1.25 : 0.8));
  });
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const wanted = { "+": scale * 1.25, "-": scale * 0.8, 0: 1, f: fit() }[event.key];
    if (wanted) {
      event.preventDefault();
      event.stopPropagation();
      zoom(wanted);
    }
  });
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const edge = box.getBoundingClientRect();
    zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - edge.left, event.clientY - edge.top);
  }, { passive: false });
  if (width > box.clientWidth) zoom(Math.max(0.6, fit()), 0, 0);
  box.dataset.ready = "1";
}
