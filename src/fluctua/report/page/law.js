"use strict";
/* The discrete rung of the theory (theory="discrete" in Python) in the page: closed forms in the modes, and the exact
   rung from Python's grid. Only the diagonal is needed, because without feedback modes do not mix. */

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

  /** Stationary <vv> per unit of kappa C: v is an ARMA(2,1) process, and no difference here cancels in flat modes. */
  function phi(h, r) {
    const { now, kept, earlier } = moves(r), x = r.lr * h;
    const trace = 1 - x * now + kept, det = kept - x * earlier;
    const noise = r.lr ** 2 * ((now * now + earlier * earlier) * (1 + det) - 2 * now * earlier * trace);
    return noise / ((1 - kept + x * earlier) * x * (now - earlier) * (2 * (1 + kept) - x * (now + earlier)));
  }

  /** The learning rate at which the mean of the steepest mode stops to decay. */
  function meanLimit(steepest, r) {
    const { now, kept, earlier } = moves(r);
    return (2 * (1 + kept)) / (steepest * (now + earlier));
  }

  /** Whether each gradient enters one step, with all its weight: what the exact rung was solved for. */
  function heavyBall(r) {
    const { earlier, given } = moves(r);
    return earlier === 0 && given === 1;
  }

  /** S_pp of every mode, or null where the mean does not decay. */
  function variances(s, g, r) {
    const h = s.curvatures.map((a) => a + s.weight_decays[g]);
    if (r.lr >= meanLimit(h[0], r)) return null;
    const k = kappa(r, s.samples);
    return h.map((one, p) => k * s.noise[g][p] * phi(one, r));
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
    const k = kappa(r, s.samples), out = steps.map(() => 0);
    s.curvatures.forEach((a, p) => {
      const h = a + s.weight_decays[g], start = s.signal[p] / (h * h), noise = k * s.noise[g][p];
      const one = step(h, r);
      let at = 0, so = null;
      steps.forEach((t, i) => {
        if (t > at) {
          const begin = at === 0 ? step(h, r, true) : so;
          const rest = t - Math.max(at, 1);
          so = rest > 0 ? then(begin, repeated(one, rest)) : begin;
          at = t;
        }
        out[i] += 0.5 * h * (so ? start * so.m[0] ** 2 + noise * so.x[0] : start);
      });
    });
    return out;
  }

  /** Weights of the polynomial through values at `places`, evaluated at x. */
  const lagrange = (places, x) =>
    places.map((p, k) => places.reduce((w, q, j) => (j === k ? w : (w * (x - q)) / (p - q)), 1));

  function interpolated(values, weights) {
    if (weights.length === 0) return values[0];
    const [first, ...rest] = weights, size = values.length / first.length;
    return first.reduce((sum, w, i) => sum + w * interpolated(values.slice(i * size, (i + 1) * size), rest), 0);
  }

  /** The exact stability limit and noise floor between Python's solutions, and the floor's stated relative error:
      {limit, ratio, error}, each null where unknown. */
  function exact(s, r) {
    const e = s.exact, k = kappa(r, s.samples), gamma = r.weight_decay, { kept } = moves(r);
    const none = { limit: null, ratio: null, error: null };
    if (!e || !heavyBall(r) || !(k > 0)) return none;
    if (k * e.batch_sizes.at(-1) < 1 || kept > e.momenta.at(-1) || gamma > e.weight_decays.at(-1)) return none;
    const inertia = (beta) => -Math.log1p(-beta), decay = (x) => Math.log1p(x / e.scale);
    const decays = (nodes) => lagrange(nodes.map(decay), decay(gamma));
    const weights = [
      lagrange(e.batch_sizes.map(Math.log), -Math.log(k)),
      lagrange(e.momenta.map(inertia), inertia(kept)),
    ];
    const narrowing = interpolated(e.narrowing, [...weights, decays(e.weight_decays)]);
    const limit = meanLimit(s.curvatures[0] + gamma, r) / (1 + Math.exp(narrowing));
    const share = r.lr / limit;
    if (share > e.shares.at(-1)) return { ...none, limit };
    const ends = [e.weight_decays[0], e.weight_decays.at(-1)], near = share / (1 - share);
    const feedback = interpolated(e.feedback, [lagrange(e.shares, share), ...weights, decays(ends)]);
    return { limit, ratio: 1 + near * Math.exp(feedback), error: e.floor_error + e.limit_error * near };
  }

  /** Everything that the page shows of recipe r, of which r.weight_decay is s.weight_decays[g]. */
  function at(s, r, horizon) {
    const g = s.weight_decays.indexOf(r.weight_decay);
    const h = s.curvatures.map((a) => a + r.weight_decay);
    const found = variances(s, g, r), steps = logarithmic(horizon), solved = exact(s, r);
    const floor = found ? found.reduce((sum, v, p) => sum + 0.5 * h[p] * v, 0) : null;
    return {
      optimum: s.optimum_losses[g], curvatures: h, floor,
      temperatures: found && found.map((v, p) => (h[p] * v) / s.outputs),
      steps, curve: curve(s, g, r, steps), meanLimit: meanLimit(h[0], r), limit: solved.limit,
      exactFloor: floor !== null && solved.ratio !== null ? floor * solved.ratio : null, floorError: solved.error,
    };
  }

  /** 0, 1 and some 60 later steps up to the horizon, evenly spaced in the logarithm. */
  function logarithmic(horizon) {
    const all = Array.from({ length: 61 }, (_, i) => Math.round(horizon ** (i / 60)));
    return [0, ...new Set(all)];
  }

  return { at, exact, kappa, meanLimit };
})();
