// Charts of the whole model: where time goes, effects, roofline.
// What cores do, each part with its syncs and its waiting: comparable with the cost model.
const activities = data.parts.filter((part) => sum(data.activities[part] ?? []) > 0 || (data.cost_parts?.[part] ?? 0) > 0);
const activity = (part) => data.activities[part] ?? [0, 0, 0];
const STACKED = [["working or moving", null], ["syncs", "sync"], ["waiting", "wait"]];

function drawSpent() {
  const layout = baseLayout();
  const trace = (name, group, values, style) => ({
    type: "bar", orientation: "h", name, offsetgroup: group, y: activities.map(label), x: values, hoverinfo: "text",
    hovertext: values.map((value, at) => `${label(activities[at])}, ${name}: ${whole(value)} cycles`), ...style,
  });
  const traces = STACKED.map(([name, variable], level) => trace(`simulated, ${name}`, "simulated", activities.map((part) => activity(part)[level]), {
    base: activities.map((part) => sum(activity(part).slice(0, level))),
    marker: { color: activities.map((part) => colour(variable ?? partVariable(part))) },
    ...(level === 2 ? { text: activities.map((part) => share(sum(activity(part)), data.latency)), textposition: "outside", cliponaxis: false } : {}),
  }));
  if (data.cost_parts) {
    traces.unshift(trace("cost model", "cost model", activities.map((part) => data.cost_parts[part] ?? 0), {
      marker: { color: "rgba(0,0,0,0)", line: { color: activities.map((part) => colour(partVariable(part))), width: 1.5 }, pattern: { shape: "/", fgcolor: colour("quiet"), size: 6, solidity: 0.2 } },
    }));
  }
  return Plotly.react(byId("chart-spent"), traces, {
    ...layout, barmode: "group", bargap: 0.3, margin: { ...layout.margin, r: 52 },
    xaxis: { ...layout.xaxis, title: { text: "cycles" }, rangemode: "tozero", nticks: narrow("chart-spent") ? 4 : 8, tickformat: "~s" },
    yaxis: { ...layout.yaxis, autorange: "reversed", showgrid: false },
  }, CONFIG);
}
function fillSpent() {
  const rows = usedParts.map((part) => {
    const name = data.parts[part];
    const mark = make("span", { class: "swatch", style: `background: var(--${partVariable(name)})`, "aria-hidden": "true" });
    const heading = make("span", {}, mark, label(name));
    const whatever = name in data.activities ? whole(sum(data.activities[name])) : "–";
    const cost = data.cost_parts ? [name in data.cost_parts ? whole(data.cost_parts[name]) : "–"] : [];
    return row(heading, [whole(data.spent[part]), share(data.spent[part], data.latency), whatever, ...cost]);
  });
  const known = data.cost_parts ? [whole(data.cost)] : [];
  fill("spent-rows", [...rows, row("total", [whole(data.latency), share(data.latency, data.latency), whole(data.latency), ...known], { class: "total" })]);
  if (!data.cost_parts) document.querySelectorAll("#spent .plan").forEach((cell) => cell.remove());
  fill("legend-spent", [
    legendItem("computing", "work", "square"), legendItem("moving data", "move", "square"), legendItem("syncs", "sync", "square"), legendItem("waiting", "wait", "square"),
    ...(data.cost_parts ? [make("li", {}, "hatched: cost model")] : []),
  ]);
  const most = usedParts.slice().sort((a, b) => data.spent[b] - data.spent[a]).slice(0, 3);
  byId("caption-spent").textContent = "Most of the time goes into " + most.map((part) => `${label(data.parts[part])} (${share(data.spent[part], data.latency)})`).join(", ") + ". Bars show every activity with its syncs and its waiting" + (data.cost_parts ? ", as the cost model counts them." : ".");
}

function drawEffects() {
  const steps = effectSteps(data.cost, data.effect_cycles, data.latency);
  const layout = baseLayout();
  const totals = new Set(["cost model", "simulated"]);
  const compared = data.cost !== null;
  let reached = 0;
  const heights = [];
  for (const [name, amount] of steps) heights.push((reached = totals.has(name) ? amount : reached + amount));
  const low = Math.min(...heights), high = Math.max(...heights);
  const margin = Math.max(0.35 * (high - low), 0.01 * high);
  return Plotly.react(byId("chart-effects"), [{
    type: "waterfall", x: steps.map((step) => step[0]), y: steps.map((step) => step[1]),
    measure: steps.map((step) => (totals.has(step[0]) ? "absolute" : "relative")),
    text: steps.map((step) => (totals.has(step[0]) ? whole(step[1]) : signed(step[1]))), textposition: "outside", cliponaxis: false,
    hoverinfo: "text", hovertext: steps.map((step) => `${step[0]}: ${totals.has(step[0]) ? whole(step[1]) : signed(step[1])} cycles<br>${step[2]}`),
    increasing: { marker: { color: colour("move") } }, decreasing: { marker: { color: colour("work") } }, totals: { marker: { color: colour("wait") } },
    connector: { line: { color: colour("edge"), width: 1 } },
  }], {
    ...layout, margin: { ...layout.margin, t: 24 },
    xaxis: { ...layout.xaxis, showgrid: false },
    yaxis: { ...layout.yaxis, title: { text: "cycles" }, tickformat: "~s", ...(compared ? { range: [Math.max(0, low - margin), high + margin] } : {}) },
  }, CONFIG);
}
function fillEffects() {
  const steps = effectSteps(data.cost, data.effect_cycles, data.latency);
  fill("effects-rows", steps.map(([name, amount, meaning]) => {
    const total = name === "cost model" || name === "simulated";
    return row(name, [total ? whole(amount) : signed(amount), meaning], total ? { class: "total" } : {});
  }));
  if (!steps.length) fill("effects-rows", [row("none", ["0", "nothing differs from full and undisturbed tiles and transfers"])]);
  byId("caption-effects").textContent = data.cost === null
    ? "No cost model is known here; these effects are what full and undisturbed tiles and transfers would not cost."
    : `The cost model expects ${whole(data.cost)} cycles, the simulation takes ${whole(data.latency)} (${signed(data.latency - data.cost)}). The axis does not begin at 0.`;
}

// Operators of one kernel at nearly the same place of the chart are one mark.
function rooflineGroups() {
  const groups = new Map();
  let without = 0;
  for (let index = 0; index < count; index++) {
    if (!sections.flop[index] || !cycles[index]) {
      without += 1;
      continue;
    }
    const key = [kernelOf(index), intensity(index).toPrecision(3), rate(index).toPrecision(3)].join(" ");
    const group = groups.get(key) ?? { kernel: kernelOf(index), first: index, number: 0, cycles: 0 };
    group.number += 1;
    group.cycles += cycles[index];
    groups.set(key, group);
  }
  return { groups: [...groups.values()], without };
}
function drawRoofline() {
  const { groups, without } = rooflineGroups();
  const { peaks, link } = data.roofline;
  const layout = baseLayout();
  const finite = groups.map((group) => intensity(group.first)).filter((value) => isFinite(value) && value > 0);
  const highest = Math.max(0, ...Object.values(peaks));
  const ridge = highest ? highest / link : 1;
  const left = Math.min(...finite, ridge) / 3, edge = Math.max(...finite, ridge) * 4;
  const right = edge * 3;
  const kernels = [...new Set(groups.map((group) => group.kernel))];
  const marks = kernels.map((kernel) => {
    const own = groups.filter((group) => group.kernel === kernel);
    return {
      type: "scatter", mode: "markers", cliponaxis: false,
      x: own.map((group) => Math.min(intensity(group.first), edge)), y: own.map((group) => rate(group.first)),
      customdata: own.map((group) => group.first), hoverinfo: "text", hovertext: own.map(rooflineText),
      marker: { symbol: kernelSymbol(kernel), color: colour(kernelVariable(kernel)), opacity: 0.85, line: { color: colour("back"), width: 1 }, size: own.map((group) => 8 + 16 * Math.sqrt(group.cycles / Math.max(1, data.latency))) },
    };
  });
  const line = (x, y, variable, dash, width) => ({ type: "scatter", mode: "lines", x, y, hoverinfo: "skip", line: { color: colour(variable), dash, width } });
  const roofs = [line([left, Math.max(ridge, left)], [left * link, Math.max(ridge, left) * link], "move", "solid", 2)];
  const lowest = Math.min(left * link, ...groups.map((group) => rate(group.first)).filter((value) => value > 0)) / 2;
  const annotations = [{ xref: "paper", x: 0, xshift: 8, yref: "paper", y: 1, text: `sloping: links, ${short(link)} B per cycle`, showarrow: false, xanchor: "left", yanchor: "top", font: { color: colour("move"), size: 11 } }];
  let above = null; // the label that the next one below must not touch
  for (const [kernel, peak] of Object.entries(peaks).sort((a, b) => b[1] - a[1])) {
    roofs.push(line([peak / link, right], [peak, peak], kernelVariable(kernel), "dash", 1.5));
    if (above && peak > 0.8 * above.peak) {
      above.annotation.text = `${kernel}, ${above.annotation.text}`;
      above.annotation.font.color = colour("text");
      continue;
    }
    const annotation = { x: Math.log10(right), y: Math.log10(peak), text: `${kernel}: ${short(peak)}`, showarrow: false, xanchor: "right", yanchor: "bottom", font: { color: colour(kernelVariable(kernel)), size: 11 } };
    annotations.push(annotation);
    above = { annotation, peak };
  }
  const idle = groups.some((group) => !isFinite(intensity(group.first))) ? " Those at the right edge receive nothing from other cores." : "";
  byId("caption-roofline").textContent = "Floating-point operations per byte that cores receive, against those per cycle, of all cores; the area of a mark grows with the time of its operators. " +
    `Level lines: what each kernel reaches on a large tile; sloping line: what the links feed.${idle}` + (without ? ` ${without} sections compute nothing and are absent.` : "") + " The table of operators has the same figures.";
  fill("legend-roofline", kernels.map((kernel) => legendItem(kernelName(kernel), kernelVariable(kernel), kernelSymbol(kernel))));
  return Plotly.react(byId("chart-roofline"), [...roofs, ...marks], {
    ...layout, hovermode: "closest", annotations,
    xaxis: { ...layout.xaxis, type: "log", range: [Math.log10(left), Math.log10(right)], title: { text: "FLOP per byte received" }, nticks: 6, dtick: narrow("chart-roofline") ? 2 : 1 },
    yaxis: { ...layout.yaxis, type: "log", range: [Math.log10(lowest), Math.log10(Math.max(highest, 10 * lowest) * 4)], title: { text: "FLOP per cycle" }, dtick: 1 },
  }, CONFIG);
}
function rooflineText(group) {
  const index = group.first;
  const many = group.number > 1 ? `<br>and ${group.number - 1} like it` : "";
  const near = isFinite(intensity(index)) ? `${short(intensity(index))} FLOP per byte` : "receives nothing";
  return `<b>${plain(cut(sections.name[index], 60))}</b>${many}<br>${near}, ${short(rate(index))} FLOP per cycle<br>${share(group.cycles, data.latency)} of the time`;
}
function startCharts() {
  fillSpent();
  fillEffects();
  const draw = () => Promise.all([drawSpent(), drawEffects(), drawRoofline()]);
  draw();
  byId("chart-roofline").on("plotly_click", (event) => {
    const index = event.points[0]?.customdata;
    if (Number.isInteger(index)) select(index);
  });
  whenThemed.push(draw);
}
