// The table of operators: searched, sorted, and shown some rows at a time.
const transferOf = (index) => sum(data.parts.map((part, at) => (partVariable(part) === "move" ? patternOf(index).parts[at] : 0)));
const partOf = (name) => (index) => patternOf(index).parts[data.parts.indexOf(name)];
const percent = (value) => (index) => share(value(index), cycles[index]);
const away = (index) => (sections.cost[index] === null ? NaN : cycles[index] - sections.cost[index]);

// Head, value to sort by, text; columns of the cost model are there only where it is known.
const COLUMNS = [
  ["Operator", (index) => sections.name[index], null],
  ["Type", (index) => sections.types[sections.type[index]], (index) => sections.types[sections.type[index]]],
  ["Kernel", (index) => kernelName(kernelOf(index)), (index) => kernelName(kernelOf(index))],
  ["Cycles", (index) => cycles[index], (index) => whole(cycles[index])],
  ["Share", (index) => cycles[index], (index) => share(cycles[index], data.latency)],
  ["Compute", (index) => partOf("compute")(index) / (cycles[index] || 1), percent(partOf("compute"))],
  ["Transfer", (index) => transferOf(index) / (cycles[index] || 1), percent(transferOf)],
  ["Idle", (index) => partOf("idle")(index) / (cycles[index] || 1), percent(partOf("idle"))],
  ["Cost model", (index) => sections.cost[index] ?? NaN, (index) => (sections.cost[index] === null ? "–" : whole(sections.cost[index])), "cost"],
  ["Difference", away, (index) => (isNaN(away(index)) ? "–" : signed(away(index))), "cost"],
  ["FLOP/B", intensity, (index) => (sections.flop[index] ? (isFinite(intensity(index)) ? short(intensity(index)) : "∞") : "–")],
  ["FLOP/cycle", rate, (index) => (sections.flop[index] ? short(rate(index)) : "–")],
  ["Memory", (index) => sections.peak[index], (index) => bytes(sections.peak[index])],
  ["Cores", (index) => sections.cores[index], (index) => whole(sections.cores[index])],
  ["Order", (index) => index, (index) => whole(index + 1)],
].filter((column) => column[3] !== "cost" || sections.cost.some((cost) => cost !== null));
const FIRST_NUMBER = 3;

const table = { order: [], column: 3, rising: false, page: 0 };
const searched = Array.from({ length: count }, (_, index) => [sections.name[index], sections.types[sections.type[index]], kernelName(kernelOf(index))].join(" ").toLowerCase());

function arrange() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const value = COLUMNS[table.column][1];
  const sign = table.rising ? 1 : -1;
  const keys = new Map();
  table.order = [];
  for (let index = 0; index < count; index++) {
    if (!words.every((word) => searched[index].includes(word))) continue;
    keys.set(index, value(index));
    table.order.push(index);
  }
  table.order.sort((a, b) => {
    const one = keys.get(a), other = keys.get(b);
    if (one === other || (Number.isNaN(one) && Number.isNaN(other))) return a - b;
    if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) ? 1 : -1;
    return (one < other ? -1 : 1) * sign;
  });
  table.page = 0;
  fillTable();
}

function fillTable() {
  const size = Number(byId("rows").value);
  const start = table.page * size;
  const shown = table.order.slice(start, start + size);
  fill("table-rows", shown.map((index) => {
    const choose = () => {
      select(index);
      byId("selected-title").focus();
      byId("selected").scrollIntoView();
    };
    const name = make("button", { type: "button", onclick: choose }, sections.name[index] || "(no name)");
    const cells = COLUMNS.slice(1).map(([, , text], at) => make("td", { class: at + 1 >= FIRST_NUMBER ? "n" : null }, text(index)));
    return make("tr", { class: index === state.selected ? "current" : null, "aria-current": index === state.selected ? "true" : null }, make("th", { scope: "row" }, name), ...cells);
  }));
  const found = table.order.length;
  byId("found").textContent = found
    ? `Rows ${start + 1} to ${start + shown.length} of ${whole(found)}` + (found < count ? `, found among ${whole(count)}.` : ".")
    : `Nothing found among ${whole(count)} sections.`;
  byId("page-back").disabled = start === 0;
  byId("page-on").disabled = start + size >= found;
  COLUMNS.forEach((_, at) => {
    const head = byId("table-head").children[at];
    const sorted = at === table.column;
    if (sorted) head.setAttribute("aria-sort", table.rising ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
    head.querySelector("span").textContent = sorted ? (table.rising ? " ▲" : " ▼") : "";
  });
}

function startTable() {
  fill("table-head", COLUMNS.map(([name], at) => {
    const sort = () => {
      table.rising = at === table.column ? !table.rising : at < FIRST_NUMBER || name === "Order";
      table.column = at;
      arrange();
    };
    const button = make("button", { type: "button", onclick: sort }, name, make("span", { "aria-hidden": "true" }));
    return make("th", { scope: "col", class: at >= FIRST_NUMBER ? "n" : null }, button);
  }));
  byId("search").addEventListener("input", arrange);
  byId("rows").addEventListener("change", arrange);
  const turn = (by) => () => {
    table.page += by;
    fillTable();
  };
  byId("page-back").addEventListener("click", turn(-1));
  byId("page-on").addEventListener("click", turn(1));
  whenSelected.push(fillTable);
  arrange();
}
