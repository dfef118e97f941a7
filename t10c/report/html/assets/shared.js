// Small helpers that all pages share, and the data of the page.
const data = JSON.parse(document.getElementById("data").textContent);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const byId = (id) => document.getElementById(id);
const label = (name) => name.replaceAll("_", " ");
const whole = (value) => Math.round(value).toLocaleString("en-US");
const share = (part, total) => (total ? ((100 * part) / total).toFixed(1) + " %" : "–");
const signed = (value) => (value > 0 ? "+" : "") + whole(value);
const short = (value) => {
  if (value === null || !isFinite(value)) return "–";
  const size = Math.abs(value);
  return size >= 1000 ? whole(value) : size >= 10 ? value.toFixed(1) : value.toPrecision(3);
};
const bytes = (value) => {
  if (value < 1024) return value + " B";
  const power = value < 1048576 ? 1 : value < 1073741824 ? 2 : 3;
  return (value / 1024 ** power).toLocaleString("en-US", { maximumFractionDigits: 1 }) + " " + ["KiB", "MiB", "GiB"][power - 1];
};
// Plotly reads markup in its texts: names of a model must not be able to use it.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const cut = (text, most) => (text.length <= most ? text : text.slice(0, (most - 1) >> 1) + "…" + text.slice(text.length - (most >> 1)));
const colour = (variable) => getComputedStyle(document.documentElement).getPropertyValue("--" + variable).trim();

// An element with attributes and children; texts become text, never markup.
function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "rect", "text", "path", "defs", "marker", "title", "g", "circle"].includes(tag);
  const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
function row(heading, cells, attributes = {}) {
  const items = cells.map((cell) => {
    const numeric = typeof cell === "string" && /^[-+–]?[\d,.]*( %| B| [KMG]iB)?$/.test(cell);
    return make("td", { class: numeric ? "n" : null }, cell);
  });
  return make("tr", attributes, make("th", { scope: "row" }, heading), ...items);
}

const fill = (id, rows) => byId(id).replaceChildren(...rows);
const whenThemed = [];
