// Where the order of the characters enters the model: each scheme overrides the method for its own place.
// Shapes: T time, C width, D width of a head.

const NOWHERE = {
  embed: (x) => x, // the embeddings (T, C), of which the first stands at `start`
  rotate: () => {}, // all heads of one query or key, one after the other, in place
};

export const POSITIONS = {
  none: () => NOWHERE,

  /** Add a learned vector for each place. */
  learned: ({ n_embd: C }, weights) => ({
    ...NOWHERE,
    embed: (x, start) => x.map((number, i) => number + weights["position.table.weight"][start * C + i]),
  }),

  /** Turn channel d of a head together with channel d + D/2, by an angle that grows with the place. */
  rope: ({ head_dim: D }) => ({
    ...NOWHERE,
    rotate: (heads, place) => {
      for (let i = 0; i < heads.length; i++) {
        const d = i % D;
        if (d >= D / 2) continue; // it was turned with its partner
        const angle = place * 10_000 ** ((-2 * d) / D);
        const [a, b] = [heads[i], heads[i + D / 2]];
        heads[i] = a * Math.cos(angle) - b * Math.sin(angle);
        heads[i + D / 2] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    },
  }),
};
