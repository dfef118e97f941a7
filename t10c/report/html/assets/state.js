// What the page knows, and small helpers that all parts of it share.
const data = JSON.parse(document.getElementById("data").textContent);
const sections = data.sections;
const plans = data.plans;
const count = sections.name.length;
const sum = (values) => values.reduce((total, value) => total + value, 0);
const cycles = sections.pattern.map((pattern) => sum(sections.patterns[pattern].parts));

const WORK = new Set(["compute"]);
const WAIT = new Set(["idle"]);
const EFFECTS = {
  short_blocks: "blocks that are short or empty on some cores",
  contention: "many want the same core's data, or the same link",
  hops: "links on the way",
  transfer_rounds: "syncs of the rounds in which pieces pass through the shift buffer",
  overlap: "shifts hidden behind computing",
  held: "what the cost model counts as received, but no core receives",
};
const KERNELS = ["matmul", "conv", "pool", "pointwise", "reduce", "gather", "rowwise", "fallback"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star"];

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
const duration = (value) => {
  const seconds = value / data.clock_hz;
  const [factor, unit] = seconds >= 1e-3 ? [1e3, "ms"] : seconds >= 1e-6 ? [1e6, "µs"] : [1e9, "ns"];
  return (seconds * factor).toPrecision(4).replace(/\.?0+$/, (zeros, at, text) => (text.includes(".") ? "" : zeros)) + " " + unit;
};
const bytes = (value) => {
  if (value < 1024) return value + " B";
  const power = value < 1048576 ? 1 : value < 1073741824 ? 2 : 3;
  return (value / 1024 ** power).toLocaleString("en-US", { maximumFractionDigits: 1 }) + " " + ["KiB", "MiB", "GiB"][power - 1];
};
// Plotly reads markup in its texts: names of a model must not be able to use it.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const cut = (text, most) => (text.length <= most ? text : text.slice(0, (most - 1) >> 1) + "…" + text.slice(text.length - (most >> 1)));

const kernelOf = (index) => sections.kernels[sections.kernel[index]];
const kernelName = (kernel) => (kernel === "" ? "copy" : kernel);
const kernelVariable = (kernel) => (KERNELS.includes(kernel) ? kernel : "other");
const kernelSymbol = (kernel) => (KERNELS.includes(kernel) ? SYMBOLS[KERNELS.indexOf(kernel)] : "hexagon");
const partVariable = (part) => (WORK.has(part) ? "work" : WAIT.has(part) ? "wait" : "move");
const colour = (variable) => getComputedStyle(document.documentElement).getPropertyValue("--" + variable).trim();
const patternOf = (index) => sections.patterns[sections.pattern[index]];
const intensity = (index) => (sections.moved[index] ? sections.flop[index] / sections.moved[index] : Infinity);
const rate = (index) => (cycles[index] ? sections.flop[index] / cycles[index] : 0);

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

// From the cost model's cycles over the effects to the simulated ones, as [name, cycles, meaning].
function effectSteps(cost, effects, total) {
  const steps = data.effects.map((name, at) => [label(name), effects[at], EFFECTS[name] ?? ""]).filter((step) => step[1]);
  if (cost === null) return steps;
  const rest = total - cost - sum(effects);
  if (Math.abs(rest) > Math.max(1, 1e-6 * total)) steps.push(["other", rest, "counted differently by the two, without a name of its own"]);
  return [["cost model", cost, "what the plan expected"], ...steps, ["simulated", total, "what this page shows"]];
}

const state = { selected: 0, range: [0, Math.max(1, data.latency)] };
const whenSelected = [];
const whenThemed = [];
function select(index) {
  state.selected = index;
  for (const follow of whenSelected) follow();
}
