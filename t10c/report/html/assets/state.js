// What the page of a simulation knows of its sections.
const sections = data.sections;
const plans = data.plans;
const count = sections.name.length;
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

const duration = (value) => {
  const seconds = value / data.clock_hz;
  const [factor, unit] = seconds >= 1e-3 ? [1e3, "ms"] : seconds >= 1e-6 ? [1e6, "µs"] : [1e9, "ns"];
  return (seconds * factor).toPrecision(4).replace(/\.?0+$/, (zeros, at, text) => (text.includes(".") ? "" : zeros)) + " " + unit;
};

const kernelOf = (index) => sections.kernels[sections.kernel[index]];
const kernelName = (kernel) => (kernel === "" ? "copy" : kernel);
const kernelVariable = (kernel) => (KERNELS.includes(kernel) ? kernel : "other");
const kernelSymbol = (kernel) => (KERNELS.includes(kernel) ? SYMBOLS[KERNELS.indexOf(kernel)] : "hexagon");
const partVariable = (part) => (WORK.has(part) ? "work" : WAIT.has(part) ? "wait" : "move");
const patternOf = (index) => sections.patterns[sections.pattern[index]];
const intensity = (index) => (sections.moved[index] ? sections.flop[index] / sections.moved[index] : Infinity);
const rate = (index) => (cycles[index] ? sections.flop[index] / cycles[index] : 0);

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
function select(index) {
  state.selected = index;
  for (const follow of whenSelected) follow();
}
