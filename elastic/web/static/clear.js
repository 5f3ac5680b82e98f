// Clear page: a change of a check box updates the list at once.

const form = document.getElementById("clear-options");
for (const button of form.querySelectorAll("[data-hide-with-script]")) button.hidden = true;
form.addEventListener("change", () => form.requestSubmit());
