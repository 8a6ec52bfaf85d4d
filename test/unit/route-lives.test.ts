/**
 * Whatever users, sessions, backends and rivals do, in whichever order: each life of a manager ends with a table that is as its
 * sessions and registrations say, every promise settled and every counter balanced. `ROUTE_LIVES=100000` lives so many.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Life, MODES } from './route-lives/life.js';

const LIVES = Number(process.env['ROUTE_LIVES'] ?? 2_400);
/** Another one has other lives. */
const SEED = Number(process.env['SEED'] ?? 1);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'hrtime'] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe.each(MODES)('routes that are moved in the way `%s`', (mode) => {
  it(
    `end as they should in ${Math.ceil(LIVES / MODES.length)} random lives`,
    async () => {
      for (let life = 0; life < LIVES / MODES.length; life += 1) {
        const seed = SEED * 1_000_003 + life;
        const one = new Life(mode, seed);
        try {
          await one.live(10 + (life % 50));
        } catch (error) {
          expect.fail(`life ${seed} of ${mode}: ${(error as Error).message}\n${one.log.join('\n')}`);
        }
        vi.clearAllTimers();
      }
    },
    Math.max(60_000, LIVES * 100),
  );
});
