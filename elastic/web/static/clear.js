// Page that clears: a ticked box shows at once what would be cleared.

const form = document.getElementById("clear-options");
for (const button of form.querySelectorAll("[data-hide-with-script]")) button.hidden = true;
form.addEventListener("change", () => form.requestSubmit());
