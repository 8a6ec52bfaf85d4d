/** A flood of transitions, operations or warnings costs the log a bounded number of lines. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Route } from '../../ts/index.js';
import { settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';

const SECOND = 1_000;
const route = (last: number): Route => ({
  table: 254,
  dst: `10.9.0.${last}/32`,
  src: '10.0.0.1',
  nextHop: `10.0.0.${last}`,
  protocol: 186,
});

async function startMany(sessions: number) {
  const log = newLog();
  const started = await startFake({ logger: log.logger });
  await started.manager.registerRoutes(Array.from({ length: sessions }, (_, index) => ({ route: route(index + 2), iface: 'eth0' })));
  const lines = (pattern: RegExp) => [...log.of('info'), ...log.of('warn')].filter(({ message }) => pattern.test(message));
  return { ...started, log, lines };
}

describe('the log', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('has one line for each of a hundred transitions in a second, and one summary of the others', async () => {
    const { engine, lines } = await startMany(150);
    engine.becomeAll('up');
    await settle();
    expect(lines(/^session went/)).toHaveLength(100);
    expect(lines(/^route installed/)).toHaveLength(100);
    await vi.advanceTimersByTimeAsync(SECOND);
    expect(lines(/more transitions/).map(({ message }) => message)).toEqual([
      '50 more transitions of sessions in the last second: 50 to up',
    ]);
    expect(lines(/more operations/).map(({ fields }) => fields['kinds'])).toEqual([{ installed: 50 }]);
    engine.become('10.9.0.2', 'down');
    expect(lines(/from up to down/), 'a new second').toHaveLength(1);
  });

  it('writes the last summary when the manager closes', async () => {
    const { manager, engine, lines } = await startMany(150);
    engine.becomeAll('up');
    await settle();
    await manager.close();
    expect(lines(/more transitions/)).toHaveLength(1);
  });

  it('has a warning of one code at most once in five seconds, with the number of those left out', async () => {
    const { engine, lines } = await startMany(1);
    for (let count = 0; count < 10; count += 1) engine.listener.warning('ENOBUFS', 'cannot send');
    engine.listener.warning('EPERM', 'cannot read');
    expect(lines(/^cannot/).map(({ message }) => message)).toEqual(['cannot send', 'cannot read']);
    await vi.advanceTimersByTimeAsync(5 * SECOND);
    engine.listener.warning('ENOBUFS', 'cannot send');
    expect(lines(/^cannot/).at(-1)?.message).toBe('cannot send (9 warnings of this kind were left out before)');
  });
});

describe('the channels of diagnostics_channel', () => {
  it('carry transitions, operations and holds with their manager', async () => {
    const { manager, engine } = await startMany(1);
    const names = ['transition', 'route', 'hold'];
    const told: [string, unknown][] = [];
    const listeners = names.map((name) => {
      const listener = (message: unknown): void => void told.push([name, (message as { manager: unknown }).manager]);
      subscribe(`route-liveness:${name}`, listener);
      return () => unsubscribe(`route-liveness:${name}`, listener);
    });
    engine.becomeAll('up');
    await settle();
    await manager.hold({ duration: 1 });
    for (const stop of listeners) stop();
    expect(told.map(([name]) => name)).toEqual(['transition', 'route', 'hold']);
    expect(told.every(([, of]) => of === manager)).toBe(true);
  });
});
