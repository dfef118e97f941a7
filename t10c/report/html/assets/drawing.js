// What all charts share: their library, unpacked, their layout and their colours.
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
const narrow = (id) => byId(id).clientWidth < 520;
function baseLayout() {
  const axis = { gridcolor: colour("grid"), linecolor: colour("edge"), zerolinecolor: colour("edge"), fixedrange: true, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true, showlegend: false, dragmode: false,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("text") },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("edge"), font: { color: colour("text"), size: 12 }, align: "left" },
    margin: { l: 10, r: 16, t: 10, b: 44 },
    xaxis: { ...axis }, yaxis: { ...axis },
  };
}
// A mark of a legend: a square, or the symbol that the chart uses.
const SHAPES = {
  square: "M2 2H12V12H2Z", circle: "M7 2a5 5 0 1 0 .01 0Z", diamond: "M7 1L13 7L7 13L1 7Z", "triangle-up": "M7 2L13 12H1Z", "triangle-down": "M1 2H13L7 12Z",
  cross: "M5 1H9V5H13V9H9V13H5V9H1V5H5Z", x: "M3 1L7 5L11 1L13 3L9 7L13 11L11 13L7 9L3 13L1 11L5 7L1 3Z",
  star: "M7 1L8.8 5.2L13 5.5L9.8 8.4L10.8 13L7 10.5L3.2 13L4.2 8.4L1 5.5L5.2 5.2Z", hexagon: "M4 2H10L13 7L10 12H4L1 7Z",
};
function legendItem(text, variable, symbol) {
  const mark = make("path", { d: SHAPES[symbol], fill: `var(--${variable})` });
  return make("li", {}, make("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark), text);
}
// Whether that was possible; if not, the page says so.
async function unpackPlotly() {
  try {
    await runPlotly();
  } catch {
    byId("failure").hidden = false;
    byId("failure").textContent = "This browser cannot unpack the charts; tables show the same figures. Browsers from 2023 on can.";
    return false;
  }
  return true;
}
async function runPlotly() {
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
