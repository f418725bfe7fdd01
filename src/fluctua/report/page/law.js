"use strict";
/* The discrete rung of the theory (theory="discrete" in Python) in the page: closed forms in the modes, of which only
   the diagonal is needed, because without feedback modes do not mix. And the exact rung, as the balance along some of
   Python's solutions (report/explorer/balance.py). */

const law = (() => {
  /** One step v' = v - eta (now g + carried u), u' = kept u + given g: SGD with momentum, or quasi-hyperbolic (nu).
      `earlier` is what of the last gradient comes again: none in a heavy ball. */
  function moves(r, first = false) {
    const hyperbolic = r.nu !== null && r.nu !== undefined;
    const kept = hyperbolic && r.nu === 0 ? 0 : r.momentum; // what is remembered counts only where the step is along it
    const given = hyperbolic ? 1 - kept : first || kept === 0 ? 1 : 1 - r.dampening; // torch does not dampen the first step
    const [plain, along] = hyperbolic ? [1 - r.nu, r.nu] : r.nesterov && kept > 0 ? [1, kept] : [0, 1];
    return { now: plain + along * given, carried: along * kept, kept, given, earlier: plain * kept };
  }

  /** The same on a mode of curvature h, g = h v + n, as a matrix on (v, u). */
  function step(h, r, first = false) {
    const { now, carried, kept, given } = moves(r, first);
    return {
      m: [1 - r.lr * now * h, -r.lr * carried, given * h, kept],
      x: [(r.lr * now) ** 2, -r.lr * now * given, given * given], // what unit noise adds to <vv>, <vu>, <uu>
    };
  }

  /** kappa, the covariance of a batch mean in units of the per-sample one. */
  function kappa(r, samples) {
    if (r.sampling === "with_replacement") return 1 / r.batch_size;
    return (samples - r.batch_size) / (r.batch_size * (samples - 1));
  }

  /** Stationary <vw> of two modes per unit of kappa C: ARMA(2,1) processes of one noise. No difference here cancels in
      flat modes. */
  function phi(h, i, r) {
    const { now, kept, earlier } = moves(r), x = r.lr * h, y = r.lr * i, along = now - earlier;
    const X = x * along, Y = y * along, d = kept - x * earlier, e = kept - y * earlier, a = 1 + d - X, b = 1 + e - Y;
    const both = now * earlier, left = 1 - d * e;
    const noise = (now * now + earlier * earlier - (a + b) * both) * left + both * (a * e * (1 - d) + b * d * (1 - e));
    return (r.lr ** 2 * noise) / (left * (X * (1 - e) + Y * (1 - d)) - X * Y * (1 + d * e) + e * X * X + d * Y * Y);
  }

  /** The learning rate at which the mean of the steepest mode stops to decay. */
  function meanLimit(steepest, r) {
    const { now, kept, earlier } = moves(r);
    return (2 * (1 + kept)) / (steepest * (now + earlier));
  }

  /** S_pp of every mode, or null where the mean does not decay. */
  function variances(s, g, r) {
    const h = s.curvatures.map((a) => a + s.weight_decays[g]);
    if (r.lr >= meanLimit(h[0], r)) return null;
    if (r.sampling === "shuffle") {
      if (!countable(s, r)) return null;
      return h.map((one, p) => s.noise[g][p] * epoch(one, r, s.samples).average);
    }
    const k = kappa(r, s.samples);
    return h.map((one, p) => k * s.noise[g][p] * phi(one, one, r));
  }

  const times = (a, b) => [
    a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3],
  ];
  /** m x m^T + y of symmetric 2 x 2 matrices held as (vv, vu, uu). */
  function carried(m, x, y) {
    const a = m[0] * x[0] + m[1] * x[1], b = m[0] * x[1] + m[1] * x[2];
    const c = m[2] * x[0] + m[3] * x[1], d = m[2] * x[1] + m[3] * x[2];
    return [a * m[0] + b * m[1] + y[0], a * m[2] + b * m[3] + y[1], c * m[2] + d * m[3] + y[2]];
  }
  const then = (a, b) => ({ m: times(b.m, a.m), x: carried(b.m, a.x, b.x) }); // a, and b after it

  /** n equal steps as one, by doubling: sums of positive terms, exact for flat modes too. */
  function repeated(one, n) {
    let all = null, power = one;
    for (let left = n; left > 0; left = Math.floor(left / 2)) {
      if (left % 2) all = all ? then(all, power) : power;
      if (left > 1) power = then(power, power);
    }
    return all;
  }

  /** E L(W_t) - L(W*) at the given steps, from W = 0, where only modes are displaced. */
  function curve(s, g, r, steps) {
    const shuffled = r.sampling === "shuffle", out = steps.map(() => 0);
    if (shuffled && (!countable(s, r) || r.dampening > 0)) return out.map(() => NaN);
    const k = shuffled ? 0 : kappa(r, s.samples);
    s.curvatures.forEach((a, p) => {
      const h = a + s.weight_decays[g], start = s.signal[p] / (h * h), noise = s.noise[g][p];
      const one = step(h, r), passes = shuffled ? epoch(h, r, s.samples) : null;
      let at = 0, so = null;
      steps.forEach((t, i) => {
        if (t > at) {
          const begin = at === 0 ? step(h, r, true) : so;
          const rest = t - Math.max(at, 1);
          so = rest > 0 ? then(begin, repeated(one, rest)) : begin;
          at = t;
        }
        const spread = shuffled ? sinceStart(passes, t) : so ? k * so.x[0] : 0;
        out[i] += 0.5 * h * (start * (so ? so.m[0] ** 2 : 1) + noise * spread);
      });
    });
    return out;
  }

  /** Batch sizes of an epoch: all alike but perhaps the last. */
  function sizes(r, samples) {
    const whole = Math.floor(samples / r.batch_size), rest = samples % r.batch_size;
    return [...Array(whole).fill(r.batch_size), ...(rest && !(r.drop_last && whole) ? [rest] : [])];
  }

  /** Whether an epoch can be followed step by step while a slider moves. */
  const countable = (s, r) => (s.samples / r.batch_size) * s.curvatures.length <= 6e6;

  /** S of one mode along a shuffled epoch, per unit of C, from batches that take back their share (F44). The epoch as
      one step: m and x; its stationary average; `before(t)`, what t of its steps do. */
  function epoch(h, r, samples) {
    const one = step(h, r), eps = 1 / (samples - 1), all = sizes(r, samples), { now, given } = moves(r);
    const push = [-r.lr * now, given];
    let m = [1, 0, 0, 1], w = [0, 0, 0], sum = [0, 0];
    const path = [];
    for (const b of all) {
      path.push({ m, x: [w[0] - eps * sum[0] ** 2, w[1] - eps * sum[0] * sum[1], w[2] - eps * sum[1] ** 2] });
      w = carried(one.m, w, one.x.map((v) => (v * (1 + eps)) / b));
      sum = [one.m[0] * sum[0] + one.m[1] * sum[1] + push[0], one.m[2] * sum[0] + one.m[3] * sum[1] + push[1]];
      m = times(one.m, m);
    }
    const x = [w[0] - eps * sum[0] ** 2, w[1] - eps * sum[0] * sum[1], w[2] - eps * sum[1] ** 2];
    const begin = settled(m, x);
    const average = path.reduce((total, at) => total + carried(at.m, begin, at.x)[0], 0) / all.length;
    return { m, x, average, steps: all.length, before: (t) => path[t] };
  }

  /** s with s = m s m^T + x, symmetric 2 x 2 matrices held as (vv, vu, uu). */
  function settled(m, x) {
    const rows = [
      [1 - m[0] * m[0], -2 * m[0] * m[1], -m[1] * m[1]],
      [-m[0] * m[2], 1 - m[0] * m[3] - m[1] * m[2], -m[1] * m[3]],
      [-m[2] * m[2], -2 * m[2] * m[3], 1 - m[3] * m[3]],
    ];
    return solved(rows, x);
  }

  /** The solution of a few linear equations, by elimination with pivots. */
  function solved(rows, right) {
    const a = rows.map((row, i) => [...row, right[i]]), n = a.length;
    for (let i = 0; i < n; i++) {
      const pivot = a.reduce((best, row, k) => (k >= i && Math.abs(row[i]) > Math.abs(a[best][i]) ? k : best), i);
      [a[i], a[pivot]] = [a[pivot], a[i]];
      for (let k = i + 1; k < n; k++) {
        const share = a[k][i] / a[i][i];
        for (let j = i; j <= n; j++) a[k][j] -= share * a[i][j];
      }
    }
    const x = Array(n).fill(0);
    for (let i = n - 1; i >= 0; i--) x[i] = (a[i][n] - x.reduce((sum, v, j) => sum + (j > i ? a[i][j] * v : 0), 0)) / a[i][i];
    return x;
  }

  /** <v v> of one mode after t steps in shuffled epochs from W*, per unit of C. */
  function sinceStart(one, t) {
    const whole = Math.floor(t / one.steps), rest = one.before(t % one.steps);
    return carried(rest.m, whole > 0 ? repeated(one, whole).x : [0, 0, 0], rest.x)[0];
  }

  /** How many eigenvalues of a symmetric matrix are negative, as pivots without exchange are (Sylvester). */
  function negatives(rows) {
    const a = rows.map((row) => [...row]);
    return a.reduce((count, row, i) => {
      for (let k = i + 1; k < a.length; k++)
        for (let j = a.length - 1, share = a[k][i] / row[i]; j >= i; j--) a[k][j] -= share * row[j];
      return count + (row[i] < 0 ? 1 : 0);
    }, 0);
  }

  /** What the feedback of independent batches adds to the discrete floor, over it; negative beyond the limit. */
  function feedback(s, g, r, equations = balance(s, g, r)) {
    const e = s.exact, { rows, images, noise, places, own, k } = equations;
    const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
    const shares = solved(rows, images.map((row) => k * dot(row, noise)));
    const added = (i) => shares.reduce((sum, c, j) => sum + c * e.images[j][i], 0);
    const sums = places.reduce(([fed, all], i, p) => [fed + own[p] * added(i), all + own[p] * noise[i]], [0, 0]);
    return (e.match * sums[0]) / sums[1];
  }

  /** The equations of the reduced balance at a recipe, and what its floor is summed from. */
  function balance(s, g, r) {
    const e = s.exact, n = e.curvatures.length, k = kappa(r, s.samples), noise = Array(e.noises[0].length).fill(0);
    e.noises.forEach((row, j) => row.forEach((v, i) => (noise[i] += e.noise_shares[g][j] * v)));
    const h = e.curvatures.map((v) => v + r.weight_decay), weight = new Float64Array(noise.length), places = [], own = [];
    for (let p = 0, i = 0; p < n; p++)
      for (let q = p; q < n; q++, i++) {
        const one = phi(h[p], h[q], r);
        weight[i] = p === q ? one : 2 * one;
        if (p === q) [places[p], own[p]] = [i, h[p] * one];
      }
    const images = e.images.map((row) => row.map((v, i) => v * weight[i]));
    const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
    const rows = e.products.map((row, i) => row.map((v, j) => v - k * dot(images[i], e.images[j])));
    return { rows, images, noise, places, own, k };
  }

  /** The zero of `left`, positive before it and negative beyond; `edge` if it has none, NaN if it is not found. */
  function onlyZero(left, edge) {
    let high = [edge * (1 - 1e-9)];
    high.push(left(high[0]));
    if (high[1] > 0) return edge;
    for (let tenth = 1, low = 0.1 * edge; tenth <= 60; tenth++, low *= 0.1) {
      const at = [low, left(low)];
      if (at[1] > 0) return between(left, at, high);
      high = at;
    }
    return NaN;
  }

  /** The zero between two places, each with its value, by the Illinois rule, and by halves every third time. */
  function between(left, low, high) {
    for (let round = 0, kept = 0; round < 120; round++) {
      const straight = (low[0] * high[1] - high[0] * low[1]) / (high[1] - low[1]), halves = round % 3 === 2;
      const guess = halves || !Number.isFinite(straight) ? 0.5 * (low[0] + high[0]) : straight, value = left(guess);
      if (Math.abs(value) < 1e-10 * guess || high[0] - low[0] < 1e-10 * high[0]) return guess;
      if (value > 0) [low, high, kept] = [[guess, value], [high[0], kept > 0 ? high[1] / 2 : high[1]], 1];
      else [high, low, kept] = [[guess, value], [low[0], kept < 0 ? low[1] / 2 : low[1]], -1];
    }
    return NaN;
  }

  const limits = new Map(); // by all of a recipe but its learning rate
  function limitOf(s, g, r) {
    const key = JSON.stringify([s.key, g, { ...r, lr: 0, horizon: 0 }]), edge = meanLimit(s.curvatures[0] + r.weight_decay, r);
    if (limits.has(key)) return limits.get(key);
    const below = negatives(s.exact.products);
    const left = (lr) => {
      const equations = balance(s, g, { ...r, lr }), fed = feedback(s, g, { ...r, lr }, equations);
      const size = Number.isNaN(fed) ? 0 : Math.abs(lr / fed); // 0 at the pole
      return negatives(equations.rows) === below ? size : -size;
    };
    limits.set(key, onlyZero(left, edge));
    return limits.get(key);
  }

  /** Weights of the polynomial through values at `places`, evaluated at x. */
  const lagrange = (places, x) =>
    places.map((p, k) => places.reduce((w, q, j) => (j === k ? w : (w * (x - q)) / (p - q)), 1));

  /** What feedback adds in shuffled epochs over what it adds to independent batches, between Python's solutions. */
  function factor(s, share, r) {
    const e = s.epochs, own = s.recipe;
    const alike = ["momentum", "nesterov"].every((name) => (r[name] || false) === (own[name] || false));
    if (!e || !alike || share > 0.6 || r.batch_size < e.batch_sizes[0] || r.batch_size > e.batch_sizes.at(-1)) return null;
    const across = lagrange(e.batch_sizes.map(Math.log), Math.log(r.batch_size)), along = lagrange(e.shares, share);
    return e.match * along.reduce((sum, w, i) => sum + w * e.factors[i].reduce((t, c, j) => t + across[j] * c, 0), 0);
  }

  /** The exact stability limit and noise floor, the latter over the discrete one, and its stated relative error:
      {limit, ratio, error}, each null where unknown. In shuffled epochs the limit is that of independent batches. */
  function exact(s, g, r) {
    const none = { limit: null, ratio: null, error: null }, shuffled = r.sampling === "shuffle";
    const single = shuffled ? { ...r, sampling: "with_replacement" } : r, k = kappa(single, s.samples);
    if (!s.exact || !(k > 0) || moves(r).kept > 0.99) return none;
    const limit = limitOf(s, g, single), share = r.lr / limit;
    if (Number.isNaN(limit)) return none;
    if (!(share < 1)) return { ...none, limit };
    const fed = feedback(s, g, single), near = share / (1 - share);
    if (!shuffled) return { limit, ratio: 1 + fed, error: s.exact.floor_error + s.exact.limit_error * near };
    const more = factor(s, share, r);
    return more === null ? { ...none, limit } : { limit, ratio: 1 + more * fed, error: s.epochs.error };
  }

  /** Whether a recipe is the run's own, of which Python's floor is known. */
  function isOwn(s, r) {
    const names = ["lr", "batch_size", "momentum", "weight_decay", "sampling", "nesterov"];
    return s.floor !== null && names.every((name) => (r[name] || false) === (s.recipe[name] || false));
  }

  /** Everything that the page shows of recipe r, of which r.weight_decay is s.weight_decays[g]. */
  function at(s, r, horizon) {
    const g = s.weight_decays.indexOf(r.weight_decay);
    const h = s.curvatures.map((a) => a + r.weight_decay);
    const found = variances(s, g, r), steps = logarithmic(horizon), own = isOwn(s, r), solution = exact(s, g, r);
    const floor = found ? found.reduce((sum, v, p) => sum + 0.5 * h[p] * v, 0) : null;
    const between = floor !== null && solution.ratio !== null ? floor * solution.ratio : null;
    return {
      optimum: s.optimum_losses[g], curvatures: h, floor, own,
      temperatures: found && found.map((v, p) => (h[p] * v) / s.outputs),
      steps, curve: curve(s, g, r, steps), meanLimit: meanLimit(h[0], r), limit: solution.limit,
      exactFloor: own ? s.floor : between, floorError: own ? 0 : solution.error,
    };
  }

  /** 0, 1 and some 60 later steps up to the horizon, evenly spaced in the logarithm. */
  function logarithmic(horizon) {
    const all = Array.from({ length: 61 }, (_, i) => Math.round(horizon ** (i / 60)));
    return [0, ...new Set(all)];
  }

  return { at, kappa, meanLimit };
})();
