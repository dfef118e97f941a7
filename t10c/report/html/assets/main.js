// Start: tables at once, charts as soon as their library is unpacked.
async function unpackPlotly() {
  const packed = Uint8Array.from(atob(byId("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(make("script", {}, await new Response(stream).text()));
}
function startTheme() {
  const choice = byId("theme");
  const follow = () => {
    if (choice.value) document.documentElement.dataset.theme = choice.value;
    else delete document.documentElement.dataset.theme;
    for (const draw of whenThemed) draw();
  };
  choice.addEventListener("change", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  if (choice.value) follow();
}
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
  try {
    await unpackPlotly();
  } catch {
    byId("failure").hidden = false;
    byId("failure").textContent = "This browser cannot unpack the charts; tables show the same figures. Browsers from 2023 on can.";
    return;
  }
  startTimeline();
  startCharts();
  if (plans && count && chosenOf(state.selected)) drawFront();
  document.documentElement.dataset.ready = "";
}
start();
