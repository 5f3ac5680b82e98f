// Panel beside the grid: shows the details of the selected cell, rendered by the server.

const panel = document.getElementById("panel");
let latest = 0;

document.addEventListener("choose", (event) => {
  const turn = ++latest;
  const request = new XMLHttpRequest();
  request.open("GET", event.detail.url);
  // Let the browser parse the response: the content security policy forbids scripts to convert text to markup.
  request.responseType = "document";
  panel.setAttribute("aria-busy", "true");
  request.addEventListener("loadend", () => {
    if (turn !== latest) return;
    panel.removeAttribute("aria-busy");
    const found = request.response?.getElementById("panel-content");
    const sentence = request.response?.querySelector(".empty p")?.textContent || "The server is unavailable. Try again.";
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
