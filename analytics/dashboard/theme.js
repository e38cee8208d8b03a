// Runs before the first paint, so that nobody is dazzled: the reader's choice, or the system's.
(() => {
  let choice = "system";
  try {
    choice = localStorage.getItem("weir-theme") ?? "system";
  } catch {
    // Storage is switched off: the system decides.
  }
  if (choice !== "system") document.documentElement.dataset.theme = choice;
})();
