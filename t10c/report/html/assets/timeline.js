// The time line: operators, shares of parts, memory. What is narrower than a pixel is merged, and
// drawn apart again when zoomed in.
const LEAST_CYCLES = 8;
const usedParts = data.parts.map((_, part) => part).filter((part) => data.spent[part] > 0);
const begins = sections.begin;
const ends = begins.map((begin, index) => begin + cycles[index]);

// First position in a rising list whose value is above `value`.
function above(list, value) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

// Operators in a range as bars: single ones, or runs of many that are too short to be seen.
function operatorBars([from, to], pixels) {
  const pixel = (to - from) / pixels;
  const bars = [];
  let run = null;
  for (let index = Math.max(0, above(ends, from)); index < count && begins[index] < to; index++) {
    if (cycles[index] >= 1.5 * pixel) {
      bars.push({ begin: begins[index], end: ends[index], indices: [index] });
      run = null;
    } else if (run && run.end - run.begin < 4 * pixel) {
      run.end = ends[index];
      run.indices.push(index);
    } else {
      run = { begin: begins[index], end: ends[index], indices: [index] };
      bars.push(run);
    }
  }
  return bars;
}

// Bars of one kernel each: a single operator takes all the height, of a run every kernel its share.
function kernelBars(bars) {
  return bars.flatMap(({ begin, end, indices }) => {
    const spent = new Map();
    for (const index of indices) {
      const kernel = kernelOf(index);
      const entry = spent.get(kernel) ?? { amount: 0, longest: index };
      entry.amount += cycles[index];
      if (cycles[index] > cycles[entry.longest]) entry.longest = index;
      spent.set(kernel, entry);
    }
    let low = 0;
    return sections.kernels.filter((kernel) => spent.has(kernel)).map((kernel) => {
      const { amount, longest } = spent.get(kernel);
      const height = spent.size > 1 && end > begin ? amount / (end - begin) : 1 / spent.size;
      low += height;
      return { begin, end, kernel, longest, number: indices.length, middle: low - height / 2, height };
    });
  });
}

function operatorTraces(range, pixels) {
  const scale = pixels / (range[1] - range[0]);
  const seen = (bar) => (Math.min(bar.end, range[1]) - Math.max(bar.begin, range[0])) * scale;
  const all = kernelBars(operatorBars(range, pixels));
  return [...new Set(all.map((bar) => bar.kernel))].map((kernel) => {
    const bars = all.filter((bar) => bar.kernel === kernel);
    return {
      type: "bar", orientation: "h", xaxis: "x", yaxis: "y", showlegend: false,
      base: bars.map((bar) => bar.begin),
      x: bars.map((bar) => bar.end - bar.begin),
      y: bars.map((bar) => bar.middle),
      width: bars.map((bar) => bar.height),
      customdata: bars.map((bar) => bar.longest),
      text: bars.map((bar) => (bar.number > 1 ? "" : barLabel(bar.longest, seen(bar)))),
      textposition: "inside", insidetextanchor: "middle", textangle: 0, constraintext: "none",
      insidetextfont: { color: colour("back"), size: 11 },
      hovertext: bars.map(barText), hoverinfo: "text",
      marker: { color: colour(kernelVariable(kernel)), line: { color: colour("back"), width: bars.map((bar) => (bar.number > 1 ? 0 : 0.5)) } },
    };
  });
}
// The end of a name, as much as fits into a bar; nothing in a bar that is too narrow for a word.
function barLabel(index, pixels) {
  const letters = Math.floor((pixels - 10) / 7);
  const name = sections.name[index].split("/").slice(-2).join("/");
  return letters < Math.min(4, name.length) ? "" : plain(name.length <= letters ? name : "…" + name.slice(1 - letters));
}
function barText(bar) {
  const length = bar.end - bar.begin;
  const time = `${whole(length)} cycles, ${duration(length)}, from ${whole(bar.begin)} on`;
  if (bar.number > 1) return `${bar.number} operators that are too short to be seen here<br>${share(bar.height, 1)} ${plain(kernelName(bar.kernel))}<br>${time}`;
  const index = bar.longest;
  return `<b>${plain(cut(sections.name[index], 60))}</b><br>${plain(sections.types[sections.type[index]])}, ${plain(kernelName(kernelOf(index)))}<br>${time}`;
}

// Cycles of every part in `bins` equal intervals of a range. The cycles of a phase are spread evenly
// over its span, since phases of one loop take turns.
function partBins([from, to], bins) {
  const width = (to - from) / bins;
  const spent = data.parts.map(() => new Float64Array(bins));
  const spread = (part, begin, end, amount) => {
    const length = Math.max(end - begin, 1e-9);
    const first = Math.max(0, Math.floor((begin - from) / width));
    const last = Math.min(bins - 1, Math.floor((end - from) / width));
    for (let bin = first; bin <= last; bin++) {
      const covered = Math.min(end, from + (bin + 1) * width) - Math.max(begin, from + bin * width);
      if (covered > 0) spent[part][bin] += (amount * covered) / length;
    }
  };
  for (let index = above(ends, from); index < count && begins[index] < to; index++) {
    const { parts, phases } = patternOf(index);
    const begin = begins[index];
    if (!phases || !phases.length || cycles[index] < 2 * width) {
      parts.forEach((amount, part) => amount && spread(part, begin, ends[index], amount));
      continue;
    }
    for (const phase of phases) {
      for (let at = 8; at < phase.length; at += 2) spread(phase[at], begin + phase[3], begin + phase[4], phase[at + 1]);
    }
  }
  return { width, spent };
}

// One lane per part: an area whose height is the part's share of the time.
function laneTraces(range, bins) {
  const { width, spent } = partBins(range, bins);
  const traces = usedParts.map((part, lane) => {
    const base = usedParts.length - 1 - lane;
    const x = [range[0]], y = [base];
    for (let bin = 0; bin < bins; bin++) {
      const height = base + 0.88 * Math.min(1, spent[part][bin] / width);
      x.push(range[0] + bin * width, range[0] + (bin + 1) * width);
      y.push(height, height);
    }
    x.push(range[1]);
    y.push(base);
    return {
      type: "scatter", mode: "lines", xaxis: "x", yaxis: "y2", x, y, fill: "toself", hoverinfo: "skip", showlegend: false,
      line: { width: 0, simplify: false }, fillcolor: colour(partVariable(data.parts[part])),
    };
  });
  const centres = Array.from({ length: bins }, (_, bin) => range[0] + (bin + 0.5) * width);
  const texts = centres.map((centre, bin) => {
    const lines = usedParts.filter((part) => spent[part][bin] > 0).map((part) => `${label(data.parts[part])} ${share(spent[part][bin], width)}`);
    return `${whole(centre - width / 2)} to ${whole(centre + width / 2)} cycles<br>${lines.join("<br>")}`;
  });
  traces.push({
    type: "scatter", mode: "markers", xaxis: "x", yaxis: "y2", x: centres, y: centres.map(() => usedParts.length / 2), showlegend: false,
    marker: { opacity: 0, size: 1 }, hovertext: texts, hoverinfo: "text",
  });
  return traces;
}

// Memory in a range as steps; of many points, the largest in every interval.
function memoryTrace([from, to], bins) {
  const { begin, bytes: held } = data.memory;
  const first = Math.max(0, above(begin, from) - 1), last = above(begin, to);
  const x = [], y = [];
  if (last - first <= 2 * bins) {
    for (let at = first; at < last; at++) {
      x.push(Math.max(begin[at], from));
      y.push(held[at]);
    }
  } else {
    const width = (to - from) / bins;
    let at = first;
    for (let bin = 0; bin < bins; bin++) {
      let most = held[at];
      while (at + 1 < last && begin[at + 1] < from + (bin + 1) * width) most = Math.max(most, held[++at]);
      x.push(from + bin * width);
      y.push(most);
    }
  }
  if (x.length) {
    x.push(to);
    y.push(y[y.length - 1]);
  }
  const hovertext = x.map((time, at) => `${bytes(y[at])} per core, ${share(y[at], data.limit_bytes)} of the limit<br>from ${whole(time)} cycles on`);
  return {
    type: "scatter", mode: "lines", xaxis: "x", yaxis: "y3", x, y, showlegend: false, hoverinfo: "text", hovertext,
    line: { shape: "hv", color: colour("work"), width: 1.5 }, fill: "tozeroy", fillcolor: colour("mark"),
  };
}

const TIMELINE_LEFT = 78;
function timelineLayout() {
  const layout = baseLayout();
  const selected = state.selected;
  const hidden = { fixedrange: true, zeroline: false, showgrid: false };
  const limit = { xref: "paper", x0: 0, x1: 1, yref: "y3", y0: data.limit_bytes, y1: data.limit_bytes, type: "line", line: { color: colour("warn"), width: 1.5, dash: "dash" } };
  const shapes = count ? [limit, { type: "rect", xref: "x", yref: "paper", x0: begins[selected], x1: ends[selected], y0: 0, y1: 1, fillcolor: colour("mark"), line: { color: colour("accent"), width: 1 }, layer: "below" }] : [limit];
  const top = Math.max(data.limit_bytes, ...(data.memory.bytes.length < 1e5 ? data.memory.bytes : []));
  const ticks = [0, 0.5, 1].map((at) => at * data.limit_bytes);
  return {
    ...layout,
    margin: { l: TIMELINE_LEFT, r: 8, t: 8, b: 44 },
    bargap: 0, barmode: "overlay", hovermode: "closest", hoverdistance: 5000,
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...layout.xaxis, fixedrange: false, range: state.range, anchor: "y3", title: { text: "cycles", standoff: 8 }, tickformat: ",.0f", nticks: byId("chart-timeline").clientWidth < 500 ? 4 : 10, showgrid: false },
    yaxis: { ...hidden, domain: [0.88, 1], range: [0, 1], tickvals: [0.5], ticktext: ["operators"] },
    yaxis2: { ...hidden, domain: [0.34, 0.85], range: [-0.1, usedParts.length], tickvals: usedParts.map((_, lane) => usedParts.length - 1 - lane + 0.44), ticktext: usedParts.map((part) => label(data.parts[part])) },
    yaxis3: { ...hidden, domain: [0, 0.29], range: [0, top * 1.18], tickvals: ticks, ticktext: ticks.map((value) => bytes(Math.round(value))), showgrid: true, gridcolor: colour("grid") },
    shapes,
    annotations: [{ xref: "paper", x: 1, xanchor: "right", yref: "y3", y: data.limit_bytes, yanchor: "bottom", showarrow: false, text: "limit " + bytes(data.limit_bytes), font: { color: colour("warn"), size: 11 } }],
  };
}

function drawTimeline() {
  const place = byId("chart-timeline");
  const pixels = Math.max(120, place.clientWidth - TIMELINE_LEFT - 8);
  const bins = Math.min(600, Math.round(pixels / 2));
  const traces = [...operatorTraces(state.range, pixels), ...laneTraces(state.range, bins), memoryTrace(state.range, bins)];
  byId("range").textContent = `${whole(state.range[0])} to ${whole(state.range[1])} cycles: ${duration(state.range[1] - state.range[0])} of ${duration(data.latency)}.`;
  byId("zoom-all").disabled = state.range[0] <= 0 && state.range[1] >= data.latency;
  return Plotly.react(place, traces, timelineLayout(), CONFIG);
}

// Show a part of the time line, at least a few cycles and at most all of it.
function showRange(from, to) {
  const all = Math.max(1, data.latency);
  const length = Math.min(all, Math.max(LEAST_CYCLES, to - from));
  const begin = Math.max(0, Math.min((from + to) / 2 - length / 2, all - length));
  state.range = [begin, begin + length];
  drawTimeline();
}
function zoom(factor, shift = 0) {
  const [from, to] = state.range;
  const half = ((to - from) / 2) * factor;
  const middle = (from + to) / 2 + shift * (to - from);
  showRange(middle - half, middle + half);
}
function startTimeline() {
  const actions = {
    "zoom-in": () => zoom(0.5), "zoom-out": () => zoom(2), "zoom-left": () => zoom(1, -0.5), "zoom-right": () => zoom(1, 0.5),
    "zoom-all": () => showRange(0, data.latency),
    "zoom-selected": () => {
      const margin = 0.1 * Math.max(cycles[state.selected], LEAST_CYCLES);
      showRange(begins[state.selected] - margin, ends[state.selected] + margin);
    },
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  const kernels = [...new Set(sections.kernels)];
  fill("legend-kernels", kernels.map((kernel) => legendItem(kernelName(kernel), kernelVariable(kernel), "square")));
  const biggest = data.peak_operator ? ` Peak memory is set by ${data.peak_operator}.` : "";
  byId("caption-timeline").textContent = `${count.toLocaleString("en-US")} sections in ${duration(data.latency)}. Drag across the chart to zoom, double-click for all; the buttons do the same.${biggest} Sections too short to be seen are merged until zoomed in, with every kernel's share of their time` + (data.memory.merged > 1 ? `; memory shows the most of every ${data.memory.merged} points.` : ".");
  drawTimeline().then((place) => {
    place.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change) showRange(change["xaxis.range[0]"], change["xaxis.range[1]"]);
    });
    place.on("plotly_doubleclick", () => showRange(0, data.latency));
    place.on("plotly_click", (event) => {
      const index = event.points[0]?.customdata;
      if (Number.isInteger(index)) select(index);
    });
  });
  whenSelected.push(drawTimeline);
  whenThemed.push(drawTimeline);
}
