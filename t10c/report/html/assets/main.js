// Start: tables at once, charts as soon as their library is unpacked.
async function start() {
  // at first the operator that takes longest, of those that have a plan if any has
  const planned = plans ? plans.chosen.flatMap((plan, index) => (plan === null ? [] : [index])) : [];
  const candidates = planned.length ? planned : cycles.map((_, index) => index);
  state.selected = candidates.reduce((best, index) => (cycles[index] > cycles[best] ? index : best), candidates[0] ?? 0);
  startTheme();
  if (count) {
    startTable();
    startOperator();
  } else {
    byId("found").textContent = "The program has no sections.";
    byId("selected").hidden = true;
  }
  if (!(await unpackPlotly())) return;
  startTimeline();
  startCharts();
  if (plans && count && chosenOf(state.selected)) drawFront();
  document.documentElement.dataset.ready = "";
}
start();
