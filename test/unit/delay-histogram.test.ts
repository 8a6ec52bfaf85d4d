import { describe, expect, it } from 'vitest';

import { DelayHistogram } from '../../ts/protocol/delay-histogram.js';

describe('a delay histogram', () => {
  it('counts each delay in a bucket whose bound is at most an eighth above it', () => {
    for (const us of [0, 1, 7, 8, 9, 15, 16, 17, 999, 1_000, 65_535, 65_536, 1_000_000, 66_000_000]) {
      const lateness = new DelayHistogram();
      lateness.note(us);
      const [bucket] = lateness.buckets();
      expect(bucket?.belowUs, `${us}`).toBeGreaterThan(us);
      expect(bucket?.belowUs, `${us}`).toBeLessThanOrEqual(us + 1 + us / 8);
    }
  });

  it('leaves out empty buckets and counts very long delays in the last one', () => {
    const lateness = new DelayHistogram();
    for (const us of [3, 3, Number.MAX_SAFE_INTEGER]) lateness.note(us);
    // What the native engine's own test expects.
    expect(lateness.buckets()).toEqual([
      { belowUs: 4, count: 2 },
      { belowUs: 2 ** 26, count: 1 },
    ]);
  });
});
