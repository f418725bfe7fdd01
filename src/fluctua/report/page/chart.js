"use strict";
/* A chart in SVG: logarithmic axes, dots and lines, colours from the style sheet. */

const chart = (() => {
  const WIDTH = 480, HEIGHT = 300, LEFT = 72, RIGHT = 14, TOP = 12, BOTTOM = 52;

  function element(parent, name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const drawable = (v) => Number.isFinite(v) && v > 0;

  function axis(values, low, high) {
    const seen = values.filter(drawable);
    let from = Math.log10(Math.min(...seen)), to = Math.log10(Math.max(...seen));
    if (!seen.length) [from, to] = [-1, 1];
    const pad = Math.max(0.04 * (to - from), 0.05);
    from -= pad;
    to += pad;
    return { from, to, place: (v) => low + ((high - low) * (Math.log10(v) - from)) / (to - from) };
  }

  /** Powers of ten, thinned out over many decades; within one decade also 2 and 5. */
  function ticks({ from, to }) {
    const every = Math.ceil((to - from) / 6), found = [];
    for (let e = Math.floor(from); e <= Math.ceil(to); e++)
      for (const k of to - from < 1.5 ? [1, 2, 5] : [1])
        if (e % every === 0 || every === 1) found.push(k * 10 ** e);
    return found.filter((v) => Math.log10(v) >= from && Math.log10(v) <= to);
  }

  const spelled = (v) => (v >= 0.01 && v < 10000 ? String(Number(v.toPrecision(3))) : v.toExponential(0));

  function frame(svg, x, y, labels) {
    for (const v of ticks(x)) {
      element(svg, "line", { class: "grid", x1: x.place(v), x2: x.place(v), y1: TOP, y2: HEIGHT - BOTTOM });
      element(svg, "text", { x: x.place(v), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, spelled(v));
    }
    for (const v of ticks(y)) {
      element(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y.place(v), y2: y.place(v) });
      element(svg, "text", { x: LEFT - 6, y: y.place(v) + 5, "text-anchor": "end" }, spelled(v));
    }
    element(svg, "text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, labels[0]);
    const turn = `translate(14 ${(HEIGHT - BOTTOM) / 2}) rotate(-90)`;
    element(svg, "text", { transform: turn, "text-anchor": "middle" }, labels[1]);
  }

  /** Draw `series`, each {x, y, dots, style}, into `svg`; a level is a series with one y for all x. */
  function draw(svg, series, labels) {
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    const x = axis(series.flatMap((s) => s.x), LEFT, WIDTH - RIGHT);
    const y = axis(series.flatMap((s) => s.y), HEIGHT - BOTTOM, TOP);
    frame(svg, x, y, labels);
    for (const s of series) {
      const points = s.x.map((v, i) => [v, s.y[i]]).filter(([a, b]) => drawable(a) && drawable(b));
      const places = points.map(([a, b]) => [x.place(a).toFixed(1), y.place(b).toFixed(1)]);
      const path = s.dots
        ? places.map(([a, b]) => `M${a} ${b}h0`).join("")
        : places.map(([a, b], i) => `${i ? "L" : "M"}${a} ${b}`).join("");
      element(svg, "path", { class: `${s.dots ? "dots" : "line"} ${s.style}`, d: path });
    }
  }

  return { draw };
})();
