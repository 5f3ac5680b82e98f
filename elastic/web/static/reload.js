// Loads the page again every two seconds, while it is seen and nothing on it is selected.
setInterval(() => {
  if (!document.hidden && !getSelection().toString()) location.reload();
}, 2000);
