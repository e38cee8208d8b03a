// Elements without HTML text: whatever the API says stays text.

/** An element. Properties that begin with "on" are listeners, `data` and `aria` are prefixes, the rest attributes. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

/** Appends texts, elements and lists of them; nothing for null. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** A text that differs from what is read aloud or shown when pointed at. */
export function titled(text, title) {
  return title && title !== text ? h("span", { title }, text) : text;
}

/** A value as `format` writes it, or that it is not known. */
export const known = (format, value) => (value === null || value === undefined ? unknown() : format(value));

/** What is not known, which is never zero. */
export const unknown = (why) => h("span", { class: "unknown", title: why ?? "Nobody knows: it was not reported" }, "unknown");
