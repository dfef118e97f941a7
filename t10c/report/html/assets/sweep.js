// What the page of a sweep knows: rows by column, and the axes along which it varies.
const place = Object.fromEntries(data.columns.map((name, at) => [name, at]));
const value = (point, name) => point[place[name]];
const models = [...new Set(data.rows.map((point) => value(point, "model")))];
const chips = [...new Set(data.rows.map((point) => value(point, "hardware")))];
const values = (name) => [...new Set(data.rows.map((point) => value(point, name)))];
const axes = ["hardware", ...data.axes].filter((name) => values(name).length > 1);
const figures = data.figures.filter((name) => data.rows.some((point) => value(point, name) !== null));
const higherIsBetter = (name) => name.endsWith("utilisation");
const latency = figures.includes("simulated_latency_ms") ? "simulated_latency_ms" : "latency_ms";
const figureText = (name, number) =>
  number === null ? "–" : name.endsWith("_bytes") ? bytes(number) : name.endsWith("_count") ? whole(number)
    : name === "gap" || name.endsWith("_share") || name.endsWith("utilisation") ? share(number, 1) : short(number);
const described = (point) => axes.map((name) => `${name} ${value(point, name)}`).join(", ");
const PALETTE = ["matmul", "conv", "reduce", "pointwise", "gather", "rowwise", "pool", "fallback"];
const MARKS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star"];

function options(id, names, chosen = names[0]) {
  byId(id).replaceChildren(...names.map((name) => make("option", { value: name, selected: name === chosen }, label(name))));
}

// Fronts: latency against memory per core.
function frontOf(points) {
  const order = points.slice().sort((a, b) => value(a, "core_bytes") - value(b, "core_bytes") || value(a, latency) - value(b, latency));
  let best = Infinity;
  return order.filter((point) => value(point, latency) < best && ((best = value(point, latency)), true));
}
const fitting = (model) => data.rows.filter((point) => value(point, "model") === model && value(point, latency) !== null);
function frontText(point) {
  return `${plain(described(point))}<br>${bytes(value(point, "core_bytes"))} per core, ${short(value(point, latency))} ms`;
}
function drawFronts() {
  const points = fitting(byId("front-model").value);
  const by = byId("front-by").value;
  const groups = by ? values(by) : [null];
  const layout = baseLayout();
  const traces = groups.map((group, at) => {
    const own = points.filter((point) => group === null || value(point, by) === group);
    return {
      type: "scatter", mode: "markers", cliponaxis: false, x: own.map((point) => value(point, "core_bytes") / 1024), y: own.map((point) => value(point, latency)),
      hoverinfo: "text", hovertext: own.map(frontText),
      marker: { symbol: MARKS[at % MARKS.length], size: 9, color: colour(PALETTE[at % PALETTE.length]), opacity: 0.85, line: { color: colour("back"), width: 1 } },
    };
  });
  const sizes = [...new Set(points.map((point) => value(point, "core_bytes")))];
  const front = frontOf(points);
  traces.push({
    type: "scatter", mode: "lines", hoverinfo: "skip", line: { shape: "hv", color: colour("text"), width: 1.5 },
    x: front.map((point) => value(point, "core_bytes") / 1024), y: front.map((point) => value(point, latency)),
  });
  Plotly.react(byId("chart-fronts"), traces, {
    ...layout,
    xaxis: { ...layout.xaxis, title: { text: "SRAM per core" }, type: "log", tickvals: sizes.map((size) => size / 1024), ticktext: sizes.map(bytes) },
    yaxis: { ...layout.yaxis, title: { text: label(latency) }, type: "log" },
  }, CONFIG);
}
function fillFronts() {
  const model = byId("front-model").value, by = byId("front-by").value;
  const points = fitting(model);
  const front = frontOf(points);
  fill("legend-fronts", (by ? values(by) : []).map((group, at) => legendItem(`${label(by)} ${group}`, PALETTE[at % PALETTE.length], MARKS[at % MARKS.length])));
  fill("front-rows", front.map((point) => row(bytes(value(point, "core_bytes")), [short(value(point, latency)), described(point)])));
  const all = data.rows.filter((point) => value(point, "model") === model).length;
  byId("caption-fronts").textContent = points.length
    ? `${points.length} of ${all} points of ${model} fit. The line joins those that no other beats with as little memory per core.`
    : `None of the ${all} points of ${model} fits.`;
}

// Heat map: one figure over two axes; along the others one value, or the best of all.
const BEST = "best";
const others = () => axes.filter((name) => name !== byId("heat-x").value && name !== byId("heat-y").value);
function heatCells() {
  const model = byId("heat-model").value, figure = byId("heat-figure").value;
  const x = byId("heat-x").value, y = byId("heat-y").value;
  const wanted = others().map((name) => [name, byId(`heat-${name}`).value]).filter(([, chosen]) => chosen !== BEST);
  const points = data.rows.filter((point) => value(point, "model") === model && wanted.every(([name, chosen]) => value(point, name) === chosen));
  const better = (one, other) => (higherIsBetter(figure) ? one > other : one < other);
  return values(y).map((high) => values(x).map((across) => {
    const own = points.filter((point) => value(point, x) === across && value(point, y) === high);
    const known = own.filter((point) => value(point, figure) !== null);
    const best = known.reduce((chosen, point) => (chosen === null || better(value(point, figure), value(chosen, figure)) ? point : chosen), null);
    return { point: best, why: best ? "" : value(own[0] ?? [], "reason") ?? "no such point" };
  }));
}
function drawHeat() {
  const figure = byId("heat-figure").value, x = byId("heat-x").value, y = byId("heat-y").value;
  const cells = heatCells();
  const layout = baseLayout();
  const of = (cell) => (cell.point ? value(cell.point, figure) : null);
  Plotly.react(byId("chart-heat"), [{
    type: "heatmap", x: values(x), y: values(y), z: cells.map((line) => line.map(of)), xgap: 2, ygap: 2, hoverongaps: true, hoverinfo: "text",
    text: cells.map((line) => line.map((cell) => figureText(figure, of(cell)))), texttemplate: "%{text}",
    hovertext: cells.map((line) => line.map((cell) => (cell.point ? `${plain(described(cell.point))}<br>${label(figure)} ${figureText(figure, of(cell))}` : plain(cut(cell.why, 120))))),
    colorscale: [[0, colour("raised")], [1, colour("work")]], colorbar: { outlinewidth: 0, thickness: 12, tickfont: { color: colour("text") } },
  }], {
    ...layout,
    xaxis: { ...layout.xaxis, type: "category", title: { text: label(x) }, showgrid: false },
    yaxis: { ...layout.yaxis, type: "category", title: { text: label(y) }, showgrid: false },
  }, CONFIG);
}
function fillHeat() {
  const figure = byId("heat-figure").value, x = byId("heat-x").value, y = byId("heat-y").value;
  fill("heat-head", [`${label(y)} \\ ${label(x)}`, ...values(x)].map((text) => make("th", { scope: "col" }, text)));
  fill("heat-rows", heatCells().map((line, at) => row(values(y)[at], line.map((cell) => (cell.point ? figureText(figure, value(cell.point, figure)) : "–")))));
  byId("caption-heat").textContent = `${label(figure)} of ${byId("heat-model").value} by ${label(x)} and ${label(y)}. An empty cell has no plan.`;
}
function arrangeHeat() {
  if (byId("heat-x").value === byId("heat-y").value) byId("heat-y").value = axes.find((name) => name !== byId("heat-x").value);
  byId("heat-others").replaceChildren(...others().map((name) => {
    const choice = make("select", { id: `heat-${name}`, onchange: showHeat });
    choice.append(...[BEST, ...values(name)].map((text) => make("option", { value: text }, text)));
    return make("label", {}, `${label(name)} `, choice);
  }));
  showHeat();
}

// The table of all points.
const listed = { column: 0, rising: true, page: 0, order: [] };
const searched = data.rows.map((point) => data.columns.map((name) => value(point, name)).filter((text) => typeof text === "string").join(" ").toLowerCase());
function cellText(name, item) {
  return item === null ? "–" : typeof item === "boolean" ? (item ? "yes" : "no") : typeof item === "string" ? item : figureText(name, item);
}
function arrangeTable() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  listed.order = data.rows.map((_, index) => index).filter((index) => words.every((word) => searched[index].includes(word)));
  if (listed.column > 0 || !listed.rising) {
    const key = (index) => data.rows[index][listed.column];
    listed.order.sort((a, b) => {
      const one = key(a), other = key(b);
      if (one === other) return a - b;
      if (one === null || other === null) return one === null ? 1 : -1;
      return (one < other ? -1 : 1) * (listed.rising ? 1 : -1);
    });
  }
  listed.page = 0;
  fillTable();
}
function fillTable() {
  const size = Number(byId("rows").value), start = listed.page * size;
  const part = listed.order.slice(start, start + size);
  fill("table-rows", part.map((index) => {
    const [first, ...rest] = data.rows[index];
    return make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((item, at) => make("td", { class: typeof item === "number" ? "n" : null }, cut(cellText(data.columns[at + 1], item), 80))));
  }));
  const found = listed.order.length;
  byId("found").textContent = found ? `Rows ${start + 1} to ${start + part.length} of ${whole(found)}.` : `Nothing found among ${whole(data.rows.length)} points.`;
  byId("page-back").disabled = start === 0;
  byId("page-on").disabled = start + size >= found;
  data.columns.forEach((_, at) => {
    const head = byId("table-head").children[at];
    if (at === listed.column) head.setAttribute("aria-sort", listed.rising ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
}
function startPoints() {
  fill("table-head", data.columns.map((name, at) => {
    const sort = () => {
      listed.rising = at === listed.column ? !listed.rising : true;
      listed.column = at;
      arrangeTable();
    };
    return make("th", { scope: "col" }, make("button", { type: "button", onclick: sort }, label(name)));
  }));
  byId("search").addEventListener("input", arrangeTable);
  byId("rows").addEventListener("change", arrangeTable);
  const turn = (by) => () => {
    listed.page += by;
    fillTable();
  };
  byId("page-back").addEventListener("click", turn(-1));
  byId("page-on").addEventListener("click", turn(1));
  arrangeTable();
}

// Start: tables at once, charts as soon as their library is unpacked.
let drawable = false;
function showFronts() {
  fillFronts();
  if (drawable) drawFronts();
}
function showHeat() {
  fillHeat();
  if (drawable) drawHeat();
}
async function start() {
  const heat = axes.length > 1 && figures.length > 0;
  byId("heat-none").hidden = heat;
  byId("heat-all").hidden = !heat;
  options("front-model", models);
  const by = axes.filter((name) => name !== "sram" && name !== "cores.sram");
  byId("front-by").replaceChildren(...[...by, ""].map((name) => make("option", { value: name }, name ? label(name) : "nothing")));
  for (const id of ["front-model", "front-by"]) byId(id).addEventListener("change", showFronts);
  if (heat) {
    options("heat-model", models);
    options("heat-figure", figures, latency);
    options("heat-x", axes);
    options("heat-y", axes, axes[1]);
    for (const id of ["heat-model", "heat-figure"]) byId(id).addEventListener("change", showHeat);
    for (const id of ["heat-x", "heat-y"]) byId(id).addEventListener("change", arrangeHeat);
    arrangeHeat();
  }
  showFronts();
  startPoints();
  startTheme();
  if (!(await unpackPlotly())) return;
  drawable = true;
  drawFronts();
  whenThemed.push(drawFronts);
  if (heat) {
    drawHeat();
    whenThemed.push(drawHeat);
  }
  document.documentElement.dataset.ready = "";
}
start();
