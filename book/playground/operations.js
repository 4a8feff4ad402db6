// The operations of a GPT on typed arrays. A matrix is one Float32Array, row after row.
// Shapes: T time, C channels that go in, F channels that come out.

/** Multiply by a matrix (F, C) and add a bias (F,): x (T, C) -> (T, F).
 *
 * Eight rows of the matrix are read at once, so that each number of x is fetched an eighth as often, and they serve all
 * of x while they are still in the processor's cache. The last group takes some rows again, to be full. Where there
 * are fewer than eight in all, what is written beyond the end of a line of y is overwritten by the next one. */
export function linear(x, weight, bias, C) {
  const T = x.length / C, F = weight.length / C;
  const y = new Float32Array(T * F);
  for (let group = 0; group < F; group += 8) {
    const f = Math.max(0, Math.min(group, F - 8));
    const w0 = f * C, w1 = w0 + C, w2 = w1 + C, w3 = w2 + C, w4 = w3 + C, w5 = w4 + C, w6 = w5 + C, w7 = w6 + C;
    for (let t = 0; t < T; t++) {
      let y0 = 0, y1 = 0, y2 = 0, y3 = 0, y4 = 0, y5 = 0, y6 = 0, y7 = 0;
      for (let c = 0, i = t * C; c < C; c++, i++) {
        const number = x[i];
        y0 += number * weight[w0 + c];
        y1 += number * weight[w1 + c];
        y2 += number * weight[w2 + c];
        y3 += number * weight[w3 + c];
        y4 += number * weight[w4 + c];
        y5 += number * weight[w5 + c];
        y6 += number * weight[w6 + c];
        y7 += number * weight[w7 + c];
      }
      const o = t * F + f;
      y[o] = y0, y[o + 1] = y1, y[o + 2] = y2, y[o + 3] = y3;
      y[o + 4] = y4, y[o + 5] = y5, y[o + 6] = y6, y[o + 7] = y7;
    }
  }
  if (bias) for (let i = 0; i < y.length; i++) y[i] += bias[i % F];
  return y;
}

/** Add y to x, in place: the residual stream. */
export function add(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
  return x;
}

/** Turn scores into shares that add up to 1, in place. */
export function softmax(scores) {
  const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  for (let i = 0; i < scores.length; i++) total += scores[i] = Math.exp(scores[i] - largest);
  for (let i = 0; i < scores.length; i++) scores[i] /= total;
  return scores;
}

const EPSILON = 1e-5; // keeps a row of equal numbers from a division by zero

export const NORMS = {
  /** Give each row mean 0 and variance 1, then scale and shift: (T, C) -> (T, C). */
  layernorm: (x, weight, bias) => rows(x, weight.length, (row) => {
    const mean = row.reduce((sum, number) => sum + number, 0) / row.length;
    const variance = row.reduce((sum, number) => sum + (number - mean) ** 2, 0) / row.length;
    const scale = 1 / Math.sqrt(variance + EPSILON);
    return (number, c) => (number - mean) * scale * weight[c] + (bias ? bias[c] : 0);
  }),
  /** Give each row a root mean square of 1, then scale: (T, C) -> (T, C). */
  rmsnorm: (x, weight) => rows(x, weight.length, (row) => {
    const scale = 1 / Math.sqrt(row.reduce((sum, number) => sum + number ** 2, 0) / row.length + EPSILON);
    return (number, c) => number * scale * weight[c];
  }),
};

/** Rewrite each row of C numbers by the function that `prepare` makes of it. */
function rows(x, C, prepare) {
  const y = new Float32Array(x.length);
  for (let i = 0; i < x.length; i += C) {
    const row = x.subarray(i, i + C);
    y.set(row.map(prepare(row)), i);
  }
  return y;
}

const silu = (x) => x / (1 + Math.exp(-x));
const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

/** What the hidden layer of an MLP does with its numbers; `gate` is there where the MLP has one. */
export const BENDS = {
  gelu: (up) => up.map(gelu),
  relu2: (up) => up.map((x) => Math.max(0, x) ** 2),
  swiglu: (up, gate) => up.map((x, i) => x * silu(gate[i])),
};
