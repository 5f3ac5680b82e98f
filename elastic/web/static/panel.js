// Panel beside the grid: shows the facts of the chosen square, as the server writes them.

const panel = document.getElementById("panel");
let latest = 0;

document.addEventListener("choose", (event) => {
  const turn = ++latest;
  const request = new XMLHttpRequest();
  request.open("GET", event.detail.url);
  // The browser parses the answer: a policy forbids scripts to turn text into markup.
  request.responseType = "document";
  panel.setAttribute("aria-busy", "true");
  request.addEventListener("loadend", () => {
    if (turn !== latest) return;
    panel.removeAttribute("aria-busy");
    const found = request.response?.getElementById("panel-content");
    const sentence = request.response?.querySelector(".empty p")?.textContent || "The server is away. Try again.";
    panel.replaceChildren(found ? document.adoptNode(found) : note(sentence));
  });
  request.send();
});

function note(text) {
  const line = document.createElement("p");
  line.className = "muted";
  line.textContent = text;
  return line;
}
