"use strict";
/* The sliders: read the settings, ask `law`, show the numbers and the charts. */

const explorer = (() => {
  const SLIDES = 1000;

  /** Arrays travel as base64, so that the page computes with the same numbers as Python. */
  function decoded(value) {
    if (Array.isArray(value)) return value.map(decoded);
    if (value === null || typeof value !== "object") return value;
    for (const [kind, numbers] of [["float64", Float64Array], ["float32", Float32Array]])
      if (kind in value) return Array.from(new numbers(Uint8Array.from(atob(value[kind]), (c) => c.charCodeAt(0)).buffer));
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decoded(one)]));
  }

  const brief = (v, digits = 4) => (v === null || !Number.isFinite(v) ? "—" : String(Number(v.toPrecision(digits))));
  const percent = (v) => `${v >= 0 ? "+" : "−"}${Math.abs(100 * v).toFixed(Math.abs(v) < 0.1 ? 2 : 1)} %`;

  /** A slider and the number beside it: the number is the setting, the slider a way to change it. */
  function pair(root, name, { low, high, whole }) {
    const [slider, number] = ["range", "number"].map((kind) => root.querySelector(`[data-${kind}="${name}"]`));
    const span = Math.log(high / low);
    const known = () => number.value !== "" && number.value > 0;
    const said = () => slider.setAttribute("aria-valuetext", known() ? brief(Number(number.value), whole ? 6 : 3) : "no value");
    const slide = () => {
      if (known()) slider.value = String((SLIDES * Math.log(number.value / low)) / span);
      said(); // its place alone says nothing
    };
    slider.addEventListener("input", () => {
      const value = low * Math.exp((span * slider.value) / SLIDES);
      number.value = whole ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
      said();
    });
    number.addEventListener("input", slide);
    slide();
    return number;
  }

  function settings(root, survey) {
    const value = (name) => {
      const { value: text } = root.querySelector(`[data-number="${name}"]`);
      return text === "" ? NaN : Number(text);
    };
    const gamma = Number(root.querySelector('[data-range="weight_decay"]').value);
    return {
      lr: value("lr"), batch_size: value("batch_size"), momentum: value("momentum"), 
      dampening: survey.recipe.dampening, nu: survey.recipe.nu, drop_last: survey.recipe.drop_last,
      weight_decay: survey.weight_decays[gamma],
      sampling: root.querySelector('[data-choice="sampling"]').value,
      nesterov: root.querySelector('[data-choice="nesterov"]').checked,
      horizon: value("horizon"),
    };
  }

  function problem(r, survey) {
    const whole = (v) => Number.isInteger(v) && v >= 1;
    if (!(r.lr > 0)) return "The learning rate must be greater than 0.";
    if (!whole(r.batch_size)) return "The batch size must be a whole number, at least 1.";
    if (r.sampling !== "with_replacement" && r.batch_size > survey.samples)
      return `A batch without replacement holds at most the ${survey.samples} samples.`;
    if (!(r.momentum >= 0 && r.momentum < 1)) return "Momentum must be from 0 to below 1.";
    if (!whole(r.horizon) || r.horizon > 1e7) return "Steps must be a whole number, from 1 to 10,000,000.";
    return "";
  }

  function tell(root, name, value, text) {
    const place = root.querySelector(`[data-shown="${name}"]`);
    place.textContent = text;
    place.dataset.value = value === null ? "" : String(value);
  }

  /** Why there is no exact floor. */
  function missing(found, r, survey) {
    if (found.limit !== null && r.lr >= found.limit)
      return `none: lr is above the exact limit${r.sampling === "shuffle" ? " of independent batches" : ""}`;
    if (r.sampling === "shuffle")
      return survey.epochs ? "not solved so far from the run's recipe: use fluctua predict"
        : "not solved for this page: use fluctua predict --sampling shuffle";
    return "not solved for these settings: use fluctua predict";
  }

  function numbers(root, found, r, survey) {
    const share = (v) => (found.optimum > 0 ? ` (${brief(100 * v / found.optimum, 3)} % of L(W*))` : "");
    const about = (v, error) => `${brief(v, 6)}${share(v)}, ± ${brief(100 * error, 2)} %`;
    tell(root, "optimum", found.optimum, brief(found.optimum, 6));
    tell(root, "mean-limit", found.meanLimit, brief(found.meanLimit, 6));
    tell(root, "limit", found.limit, found.limit === null ? "unknown here" :
      `${brief(found.limit)} ± ${brief(100 * survey.exact.limit_error, 2)} %; lr is ${brief((100 * r.lr) / found.limit, 3)} % of it`);
    tell(root, "floor", found.floor, found.floor !== null ? brief(found.floor, 6) + share(found.floor)
      : r.lr >= found.meanLimit ? "none: lr is above the limit of the mean" : "epochs too long to follow here");
    tell(root, "exact-floor", found.exactFloor, found.exactFloor === null ? missing(found, r, survey)
      : found.own ? `${brief(found.exactFloor, 6)}${share(found.exactFloor)}, as Python has it`
      : about(found.exactFloor, found.floorError));
    const off = found.exactFloor === null || found.floor === null ? null : found.floor / found.exactFloor - 1;
    tell(root, "difference", off, off === null ? "—" : percent(off));
  }

  /** Leave no number of other settings on show. */
  function blank(root) {
    root.querySelectorAll("dl [data-shown]").forEach((place) => tell(root, place.dataset.shown, null, "—"));
    root.querySelectorAll("svg[data-chart]").forEach((svg) => svg.replaceChildren());
    root.found = null;
  }

  function charts(root, found, first) {
    const [heat, course] = root.querySelectorAll("svg[data-chart]");
    const dots = (one, style) => ({ x: one.curvatures, y: one.temperatures ?? [], dots: true, style });
    chart.draw(heat, [dots(first, "before"), dots(found, "now")], ["curvature of the mode", "temperature of the mode"]);
    const ends = [found.steps[1], found.steps.at(-1)];
    const level = (v, style) => ({ x: ends, y: v === null ? [] : [v, v], style });
    chart.draw(course, [
      level(found.exactFloor, "exact"), level(found.floor, "floor"),
      { x: found.steps.slice(1), y: found.curve.slice(1), style: "now" },
    ], ["step", "excess loss from W = 0"]);
  }

  /** The numbers on show as CSV: one row a mode, then one a step. */
  function table(found) {
    const modes = found.curvatures.map((h, p) => `mode,${h},${found.temperatures ? found.temperatures[p] : ""}`);
    const steps = found.steps.map((t, i) => `step,${t},${found.curve[i]}`);
    return ["kind,curvature or step,temperature or excess loss", ...modes, ...steps].join("\n") + "\n";
  }

  function start(root, key) {
    const survey = decoded(JSON.parse(root.querySelector('script[type="application/json"]').textContent));
    survey.key = key;
    const pitfall = root.querySelector("[data-refusal]"), gamma = root.querySelector('[data-shown="weight_decay"]');
    const limit = law.meanLimit(survey.curvatures[0], { ...survey.recipe, momentum: 0 });
    pair(root, "lr", { low: 1e-3 * limit, high: 1.5 * limit });
    pair(root, "batch_size", { low: 1, high: Math.min(survey.samples, 1024), whole: true });
    const inertia = ["range", "number"].map((kind) => root.querySelector(`[data-${kind}="momentum"]`));
    inertia[0].addEventListener("input", () => (inertia[1].value = inertia[0].value));
    inertia[1].addEventListener("input", () => (inertia[0].value = inertia[1].value));
    const first = law.at(survey, { ...survey.recipe }, survey.recipe.horizon);

    function redraw() {
      const r = settings(root, survey);
      gamma.textContent = brief(r.weight_decay, 6);
      root.querySelector('[data-range="weight_decay"]').setAttribute("aria-valuetext", gamma.textContent);
      root.querySelector('[data-choice="nesterov"]').disabled = !(r.momentum > 0) || r.dampening > 0 || r.nu !== null;
      pitfall.textContent = problem(r, survey);
      if (pitfall.textContent) return blank(root);
      const found = law.at(survey, r, r.horizon);
      root.found = found;
      numbers(root, found, r, survey);
      charts(root, found, first);
    }

    let waiting = 0;
    root.addEventListener("input", () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(redraw);
    });
    root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    root.querySelector("[data-reset]").addEventListener("click", () => {
      root.querySelector("form").reset();
      root.querySelectorAll('input[type="number"]').forEach((one) => one.dispatchEvent(new Event("input")));
      redraw();
    });
    root.querySelector("[data-csv]").addEventListener("click", (event) => {
      if (!root.found) return event.preventDefault();
      event.target.href = URL.createObjectURL(new Blob([table(root.found)], { type: "text/csv" }));
    });
    redraw();
    root.hidden = false;
  }

  return { start };
})();

document.querySelectorAll(".explorer").forEach(explorer.start);
