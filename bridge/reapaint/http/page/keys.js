const TYPING = "textarea, select, dialog, input:not([type=checkbox], [type=radio], [type=range])";
const MOVED_BY_ARROWS = "input[type=radio], input[type=range]";
const PRESSED_BY_SPACE = "button, summary, a, input[type=checkbox], input[type=file]";

/**
 * Let keys do what buttons do.
 *
 * Single keys can be turned off, and never act where they mean something already: in a field
 * that is typed into, on a slider, on a button.
 *
 * @param {HTMLInputElement} toggle whether single keys act
 * @param {object} actions what the keys do, by name; each tells whether there was anything to do
 */
export function listenToKeys(toggle, actions) {
  toggle.checked = localStorage.getItem("shortcuts") !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem("shortcuts", toggle.checked ? "on" : "off");
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (act(event, toggle.checked, actions)) event.preventDefault();
  });
}

function act(event, singleKeys, actions) {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  if (key === "Escape") return actions.cancel();
  if (key === "Enter" && (ctrlKey || metaKey)) return actions.run();
  if (!singleKeys || ctrlKey || metaKey || altKey || event.target.closest(TYPING)) return false;
  if (key.startsWith("Arrow")) {
    return !event.target.closest(MOVED_BY_ARROWS) && arrow(key, shiftKey ? 0.1 : 1, actions);
  }
  if (key === " ") return !event.target.closest(PRESSED_BY_SPACE) && actions.play();
  if (/^[0-9]$/.test(key)) return actions.chooseNumbered(Number(key));
  const others = { "[": actions.startHere, "]": actions.endHere, l: actions.loop };
  return others[key.toLowerCase()]?.() ?? false;
}

function arrow(key, seconds, actions) {
  if (key === "ArrowLeft") return actions.seek(-seconds);
  if (key === "ArrowRight") return actions.seek(seconds);
  return actions.step(key === "ArrowUp" ? -1 : 1);
}
