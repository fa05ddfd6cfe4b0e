// Creates and updates elements. Text is always inserted as text, never as markup.

/** An element with attributes and children; a string child becomes a text node. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Set an element's text, and touch the page only when it changes. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A list that keeps one component an item, so that updates keep focus, selection and motion.
 *
 * `make()` returns `{element, update(item, index)}`. The function that comes back shows items.
 */
export function keyedList(parent, keyOf, make) {
  const shown = new Map();
  return (items) => {
    const keys = new Set(items.map(keyOf));
    for (const [key, component] of shown) {
      if (keys.has(key)) continue;
      component.element.remove();
      shown.delete(key);
    }
    let next = parent.firstElementChild;
    items.forEach((item, index) => {
      const key = keyOf(item);
      if (!shown.has(key)) shown.set(key, make());
      const { element, update } = shown.get(key);
      update(item, index);
      if (element === next) next = next.nextElementSibling;
      else parent.insertBefore(element, next);
    });
  };
}
