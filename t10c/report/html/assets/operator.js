// One operator: its parts, effects and phases, its place on the front, its rTensors.
const chosenOf = (index) => (plans && plans.chosen[index] !== null ? plans.plans[plans.chosen[index]] : null);

function fillFacts() {
  const index = state.selected;
  const chosen = chosenOf(index);
  const problem = chosen && plans.problems[chosen.problem];
  const text = [
    `${sections.types[sections.type[index]]}, kernel ${kernelName(kernelOf(index))}, on ${whole(sections.cores[index])} of ${whole(data.core_count)} cores.`,
    `It takes ${whole(cycles[index])} cycles (${duration(cycles[index])}), ${share(cycles[index], data.latency)} of the latency, and at most ${bytes(sections.peak[index])} per core meanwhile.`,
    `It begins after ${whole(begins[index])} cycles.`,
  ].join(" ");
  const lines = [make("p", {}, text)];
  if (problem) {
    const many = problem.operators > 1 ? ` One search for ${whole(problem.operators)} operators like it.` : "";
    lines.push(make("p", { class: "code" }, problem.text), make("p", { class: "status" }, `${problem.axes}.${many} Split ${chosen.at[2]}; rotations ${chosen.at[3]}.`));
  }
  byId("facts").replaceChildren(...lines);
  byId("selection").textContent = `${whole(index + 1)} of ${whole(count)}: ${sections.name[index]}`;
}

function fillOwnTables() {
  const index = state.selected;
  const { parts, effects, phases } = patternOf(index);
  const rows = data.parts.map((name, part) => [name, parts[part]]).filter((item) => item[1]);
  fill("own-rows", [
    ...rows.map(([name, amount]) => {
      const mark = make("span", { class: "swatch", style: `background: var(--${partVariable(name)})`, "aria-hidden": "true" });
      return row(make("span", {}, mark, label(name)), [whole(amount), share(amount, cycles[index])]);
    }),
    row("total", [whole(cycles[index]), share(cycles[index], cycles[index])], { class: "total" }),
  ]);
  const steps = effectSteps(sections.cost[index], effects, cycles[index]);
  fill("own-effect-rows", steps.length ? steps.map(([name, amount]) => {
    const total = name === "cost model" || name === "simulated";
    return row(name, [total ? whole(amount) : signed(amount)], total ? { class: "total" } : {});
  }) : [row("none", ["0"])]);
  fill("phase-rows", phases ? phases.map((phase) => {
    let spent = 0;
    for (let at = 8; at < phase.length; at += 2) spent += phase[at + 1];
    return row(sections.texts[phase[0]], [label(data.parts[phase[1]]), whole(phase[2]), whole(phase[3]), whole(phase[4]), whole(spent), bytes(phase[5]), bytes(phase[6]), whole(phase[7])]);
  }) : [row("Single phases of this operator were left out to keep the page small.", [])]);
}

function drawFront() {
  const chosen = chosenOf(state.selected);
  const layout = baseLayout();
  const known = plans.problems[chosen.problem].front;
  const front = known ?? [];
  const text = ([memory, time, split, rotations]) => `${bytes(memory)} per core, ${whole(time)} cycles<br>split ${plain(split)}<br>rotations ${plain(rotations)}`;
  const line = {
    type: "scatter", mode: "lines+markers", x: front.map((entry) => entry[0] / 1024), y: front.map((entry) => entry[1]), hoverinfo: "text", hovertext: front.map(text),
    line: { shape: "hv", color: colour("wait"), width: 1.5 }, marker: { color: colour("work"), size: 7 },
  };
  const [memory, time] = chosen.at;
  const mark = {
    type: "scatter", mode: "markers+text", x: [memory / 1024], y: [time], hoverinfo: "text", hovertext: ["<b>chosen</b><br>" + text(chosen.at)],
    text: ["chosen"], textposition: "top right", cliponaxis: false, marker: { symbol: "diamond", size: 14, color: colour("move"), line: { color: colour("back"), width: 1.5 } },
  };
  const times = [time, ...front.map((entry) => entry[1])];
  const wide = Math.max(...times) > 20 * Math.min(...times);
  const limit = data.limit_bytes / 1024;
  const most = Math.max(memory / 1024, ...front.map((entry) => entry[0] / 1024));
  const shapes = most > 0.6 * limit ? [{ type: "line", x0: limit, x1: limit, yref: "paper", y0: 0, y1: 1, line: { color: colour("warn"), width: 1.5, dash: "dash" } }] : [];
  byId("caption-front").textContent = !known ? "The page holds the fronts of the operators that take longest; this one was left out, and only the chosen plan is shown." : `${front.length} plan${front.length === 1 ? "" : "s"} on the front, from ${front.length ? bytes(front[0][0]) : "–"} per core on; the chosen one takes ${bytes(memory)} and ${whole(time)} cycles, the uniform transition included. ${wide ? "Cycles are on a logarithmic axis. " : ""}` +
    (chosen.front === null ? "It is not on the front: it was cheaper once its neighbours' layouts and the idle weights of the whole model were counted." : "It is on the front.") +
    (shapes.length ? ` Dashed: the limit of ${bytes(data.limit_bytes)}.` : "");
  return Plotly.react(byId("chart-front"), [line, mark], {
    ...layout, hovermode: "closest", margin: { ...layout.margin, t: 24, r: 48 }, shapes,
    xaxis: { ...layout.xaxis, title: { text: "memory per core, KiB" }, nticks: 6 },
    yaxis: { ...layout.yaxis, title: { text: "cycles" }, ...(wide ? { type: "log", dtick: 1, tickformat: "~s" } : { rangemode: "tozero", tickformat: "~s" }) },
  }, CONFIG);
}

function fillPlan() {
  const chosen = chosenOf(state.selected);
  byId("planned").hidden = !chosen;
  if (!chosen) return;
  const front = plans.problems[chosen.problem].front ?? [];
  const entries = front.map((entry, at) => [at === chosen.front ? "chosen" : String(at + 1), entry]);
  if (chosen.front === null || !front.length) entries.push([front.length ? "chosen, not on the front" : "chosen", chosen.at]);
  fill("front-rows", entries.map(([name, entry]) => row(name, [bytes(entry[0]), whole(entry[1]), entry[2], entry[3]], name.startsWith("chosen") ? { class: "current" } : {})));
  fill("rtensor-head", plans.rtensor_header.map((name, at) => make("th", { scope: "col", class: at >= 6 ? "n" : null }, name)));
  fill("rtensor-rows", chosen.rtensors.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((cell, at) => make("td", { class: at >= 5 ? "n" : null }, cell)))));
  if (window.Plotly) drawFront();
  showRings(chosen);
}

function startOperator() {
  const choice = byId("operator");
  choice.append(...sections.name.map((name, index) => make("option", { value: index }, name || "(no name)")));
  const step = (by) => () => select(Math.min(count - 1, Math.max(0, state.selected + by)));
  choice.addEventListener("change", () => select(Number(choice.value)));
  byId("operator-back").addEventListener("click", step(-1));
  byId("operator-on").addEventListener("click", step(1));
  const follow = () => {
    choice.value = state.selected;
    byId("operator-back").disabled = state.selected === 0;
    byId("operator-on").disabled = state.selected === count - 1;
    fillFacts();
    fillOwnTables();
    if (plans) fillPlan();
  };
  if (plans) startRings();
  whenSelected.push(follow);
  whenThemed.push(() => {
    if (window.Plotly && chosenOf(state.selected)) drawFront();
  });
  follow();
}
