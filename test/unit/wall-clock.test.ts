import { afterEach, expect, it, vi } from 'vitest';

import { monotonicNow, toDate, toMicros, wallOffset } from '../../ts/base/clock.js';

afterEach(() => void vi.restoreAllMocks());

it('wallOffset gives one date for one time, whenever it is called', () => {
  const moment = toMicros(monotonicNow());
  const seen = new Set<number>();
  // Through many beginnings and ends of milliseconds, in which the wall clock is read with a fraction missing.
  const end = monotonicNow() + 50;
  while (monotonicNow() < end) seen.add(toDate(moment).getTime());
  expect(seen.size).toBe(1);
});

it('wallOffset follows a wall clock that is set', () => {
  const before = wallOffset();
  const now = Date.now.bind(Date);
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
  expect(Math.abs(wallOffset() - before - 3_600_000)).toBeLessThan(10);
});
