// Reload the page every two seconds while it is visible and nothing on it is selected.
setInterval(() => {
  if (!document.hidden && !getSelection().toString()) location.reload();
}, 2000);
