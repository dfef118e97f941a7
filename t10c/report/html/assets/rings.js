// Pictures of cores: which piece of an operand each holds, and the ring that pieces pass round.
const CELL = { width: 50, height: 40, gap: 18, margin: 16 };
const COLOURS = 8;
let pictured = null; // rings of the selected operator

const pieceWords = (view, piece) => view.pieces[piece].map((number, at) => {
  const [axis, kind, , total] = view.of[at].split(" ");
  return `${kind} ${number} of ${total} along ${axis}`;
}).join(", ") || "all of it";
const viewText = (view) => (view.radix ? `${view.operand}: rings of ${view.radix} along ${view.axis}` : `${view.operand}: does not rotate`);
const coordinateText = (core) => pictured.axes.map((axis, at) => `${axis}=${pictured.coordinates[core][at]}`).join(" ") || "–";

// Pieces by core after some shifts: a core has what the core so many places on had.
function heldAfter(view, shifts) {
  const ring = view.radix ?? 1;
  return view.held.map((_, at) => view.held[at - (at % ring) + (((at % ring) + shifts) % ring)]);
}
// Whole rings can be turned; of a longer one only a part is drawn.
const turns = (view) => Boolean(view.radix) && view.cores.length % view.radix === 0;

// Where cells go: rings one after the other, in rows that run forth and back.
function places(view, columns) {
  const length = view.radix ? Math.min(view.radix, view.cores.length) : view.cores.length;
  const wide = Math.min(length, columns);
  const high = Math.ceil(length / wide);
  const beside = view.radix ? Math.max(1, Math.floor((columns + 0.7) / (wide + 0.7))) : 1;
  const across = CELL.width + CELL.gap, down = CELL.height + (view.radix ? CELL.gap : 8);
  const block = { width: wide * across + CELL.margin, height: high * down + (view.radix ? CELL.margin : 0) };
  const cells = view.cores.map((_, at) => {
    const ring = Math.floor(at / length), step = at % length;
    const line = Math.floor(step / wide), place = step % wide;
    const back = view.radix && line % 2 === 1;
    return {
      x: CELL.margin + (ring % beside) * block.width + (back ? wide - 1 - place : place) * across,
      y: 8 + Math.floor(ring / beside) * block.height + line * down,
      ring, step, line,
    };
  });
  const rings = Math.ceil(view.cores.length / length);
  return { cells, length, width: CELL.margin + Math.min(rings, beside) * block.width, height: 8 + Math.ceil(rings / beside) * block.height };
}

// The way of a piece from one cell to the cell before it in the ring, which is beside or above it.
function arrow(from, to) {
  const middle = CELL.height / 2;
  if (from.line === to.line) {
    return from.x > to.x ? `M${from.x - 2} ${from.y + middle}H${to.x + CELL.width + 5}` : `M${from.x + CELL.width + 2} ${from.y + middle}H${to.x - 5}`;
  }
  const centre = from.x + CELL.width / 2;
  return `M${centre} ${from.y - 2}V${to.y + CELL.height + 5}`;
}
// From the first core to the last: round the left side, and along beneath.
function closing(first, last) {
  const low = last.y + CELL.height + 11, side = first.x - 9;
  return `M${first.x - 1} ${first.y + CELL.height / 2}H${side}V${low}H${last.x + CELL.width / 2}V${last.y + CELL.height + 5}`;
}

function drawPicture(view, shifts) {
  const room = byId("picture").clientWidth - 2 * CELL.margin;
  const columns = Math.max(2, Math.min(view.radix ? 16 : 8, Math.floor((room + CELL.gap) / (CELL.width + CELL.gap))));
  const { cells, length, width, height } = places(view, columns);
  const held = heldAfter(view, shifts);
  const parts = [make("defs", {}, make("marker", { id: "tip", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse" }, make("path", { d: "M0 0L8 4L0 8Z", class: "arrow-head" })))];
  cells.forEach((cell, at) => {
    if (view.radix && cell.step > 0) parts.push(make("path", { class: "arrow", d: arrow(cell, cells[at - 1]), "marker-end": "url(#tip)" }));
    if (view.radix && cell.step === length - 1 && turns(view) && length > 1) parts.push(make("path", { class: "arrow", d: closing(cells[at - length + 1], cell), "marker-end": "url(#tip)" }));
  });
  cells.forEach(({ x, y }, at) => {
    const core = view.cores[at], piece = held[at];
    parts.push(make("g", {},
      make("title", {}, `core ${core} (${coordinateText(core)}) holds piece ${piece}: ${pieceWords(view, piece)}`),
      make("rect", { class: "cell", x, y, width: CELL.width, height: CELL.height, rx: 4, style: `fill: var(--p${piece % COLOURS})` }),
      make("text", { class: "cell-core", x: x + 5, y: y + 12 }, String(core)),
      make("text", { class: "cell-piece", x: x + CELL.width / 2, y: y + 31, "text-anchor": "middle" }, String(piece))));
  });
  const picture = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "caption-picture" }, ...parts);
  byId("picture").replaceChildren(picture);
}

function fillCores(view, shifts) {
  const ring = view.radix ? Math.min(view.radix, view.cores.length) : 0;
  const held = heldAfter(view, shifts);
  fill("core-rows", view.cores.map((core, at) => {
    const last = ring && at % ring === ring - 1;
    const source = !ring ? "–" : last ? (turns(view) ? `core ${view.cores[at - ring + 1]}` : "a core that is not drawn") : `core ${view.cores[at + 1]}`;
    return row(String(core), [coordinateText(core), String(held[at]), pieceWords(view, held[at]), source]);
  }));
}

function pictureCaption(view, shifts) {
  const distinct = new Set(view.held).size;
  const drawn = `${whole(view.cores.length)} of ${whole(pictured.used)} cores are drawn`;
  const what = `small number: core; large number and colour: its piece of ${view.operand} (${distinct} different)`;
  if (!view.radix) return `${drawn}; ${what}. ${view.operand} stays where it is.`;
  const rings = turns(view) ? `${view.cores.length / view.radix} whole ring${view.cores.length === view.radix ? "" : "s"}` : `the beginning of a ring of ${whole(view.radix)}`;
  const when = shifts ? `after ${shifts} shift${shifts === 1 ? "" : "s"}` : "as the operator begins";
  return `${drawn}, ${rings}, ${when}; ${what}. At every shift pieces move along the arrows.`;
}

function showView() {
  const view = pictured.views[Number(byId("view").value)];
  const input = byId("shifts");
  input.disabled = !turns(view);
  input.max = turns(view) ? view.radix - 1 : 0;
  const shifts = turns(view) ? Math.min(view.radix - 1, Math.max(0, Math.trunc(Number(input.value)) || 0)) : 0;
  drawPicture(view, shifts);
  fillCores(view, shifts);
  byId("caption-picture").textContent = pictureCaption(view, shifts);
}

function showRings(chosen) {
  pictured = chosen.rings ?? null;
  byId("pictured").hidden = !pictured;
  byId("unpictured").hidden = Boolean(pictured);
  if (!pictured) {
    byId("unpictured").textContent = `Cores are drawn for the plans that take longest; ${whole(plans.without_picture)} others, this one among them, have no picture.`;
    return;
  }
  fill("view", pictured.views.map((view, at) => make("option", { value: at }, viewText(view))));
  byId("shifts").value = 0;
  const turning = pictured.views.findIndex((view) => view.radix);
  byId("view").value = Math.max(0, turning);
  showView();
}
function startRings() {
  byId("view").addEventListener("change", () => {
    byId("shifts").value = 0;
    showView();
  });
  byId("shifts").addEventListener("input", showView);
  let known = innerWidth;
  addEventListener("resize", () => {
    if (pictured && innerWidth !== known) showView();
    known = innerWidth;
  });
}
