/** Many sessions that fall at once keep the routes of a called backend for a while. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Route } from '../../ts/index.js';
import { CONFIG, settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';

const MASS_DOWN = { share: 0.5, within: 100, hold: 1_000 };
const route = (last: number): Route => ({
  table: 254,
  dst: `10.9.0.${last}/32`,
  src: '10.0.0.1',
  nextHop: `10.0.0.${last}`,
  protocol: 186,
});

async function startFour(config = {}) {
  const log = newLog();
  const started = await startFake({ massDown: MASS_DOWN, logger: log.logger, ...config });
  await started.manager.registerRoutes([1, 2, 3, 4].map((last) => ({ route: route(last), iface: 'eth0' })));
  started.engine.becomeAll('up');
  await settle();
  const installed = async (): Promise<number> => {
    await settle();
    return started.routes.routeByProtocol(186).length;
  };
  const warnings = () => log.of('warn').filter(({ fields }) => fields['code'] === 'ERR_MASS_DOWN');
  const fall = (last: number, reason: 'timeout' | 'remote_admin' = 'timeout') =>
    started.engine.become(`10.9.0.${last}`, 'down', { reason });
  return { ...started, installed, warnings, fall };
}

describe('sessions that fall at once', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('keep their routes for a while if they are more than the share, and a warning says so once', async () => {
    const { engine, installed, warnings } = await startFour();
    engine.becomeAll('down');
    expect(await installed()).toBe(4);
    expect(warnings().map(({ message }) => message)).toEqual([
      "4 of 4 sessions fell at once, which is probably this host's fault: their routes stay for 1000 ms",
    ]);
    engine.become('10.9.0.1', 'up');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await installed(), 'the route of the session that is Up again').toBe(1);
  });

  it('keep the longer hold that somebody gave one of them', async () => {
    const { manager, engine, installed } = await startFour();
    await manager.hold({ duration: 60_000, peers: [{ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.9.0.1' }] });
    engine.becomeAll('down');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await installed()).toBe(1);
  });

  it('lose their routes at once if they are fewer, or fall one after the other', async () => {
    const { installed, warnings, fall } = await startFour();
    for (const [last, left] of [
      [1, 3],
      [2, 2],
      [3, 1],
    ] as const) {
      fall(last);
      expect(await installed()).toBe(left);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(warnings()).toEqual([]);
  });

  it('lose their routes at once if their peers take them out of service', async () => {
    const { installed, fall } = await startFour();
    for (const last of [1, 2, 3, 4]) fall(last, 'remote_admin');
    expect(await installed()).toBe(0);
  });

  it('lose their routes at once without the option', async () => {
    const { engine, installed } = await startFour({ massDown: undefined });
    engine.becomeAll('down');
    expect(await installed()).toBe(0);
  });

  it.each([
    [{ ...MASS_DOWN, share: 0 }, 'massDown.share'],
    [{ ...MASS_DOWN, share: 1 }, 'massDown.share'],
    [{ ...MASS_DOWN, within: 0.5 }, 'massDown.within'],
    [{ ...MASS_DOWN, hold: 60_001 }, 'massDown.hold'],
    [{ share: 0.5, within: 100 }, 'massDown.hold'],
    [{ ...MASS_DOWN, holds: 1 }, 'massDown.holds'],
  ])('are refused as %j', async (massDown, path) => {
    await expect(startFake({ ...CONFIG, massDown: massDown as never })).rejects.toMatchObject({ code: 'ERR_CONFIG', issues: [{ path }] });
  });
});
