/** What is over leaves nothing behind. */
import { getEventListeners } from 'node:events';

import { Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';

import type { EndpointStats } from '../../ts/engine/engine.js';
import { MemoryRoutes, type Route, type Transition } from '../../ts/index.js';
import { startManager } from '../../ts/manager/manager.js';
import { CONFIG, FakeEngine, NOTHING_INVALID, settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';

const route = (number: number): Route => ({
  table: 254,
  dst: `10.9.${number >> 8}.${number & 255}/32`,
  src: '10.0.0.1',
  nextHop: '10.0.0.2',
  protocol: 186,
});

describe('a stream of transitions', () => {
  it.each(['return', 'end of the manager', 'failure of the engine'] as const)(
    'keeps no listener on its signal after its end by %s',
    async (how) => {
      const { manager, engine } = await startFake();
      const { signal } = new AbortController();
      const stream = manager.transitions({ signal });
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      if (how === 'return') await stream.return?.();
      else if (how === 'end of the manager') await manager.close();
      else engine.listener.fatal(new Error('the thread died'));
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    },
  );

  it('without a reader keeps at most two records per possible session, and those of live sessions', async () => {
    const log = newLog();
    const { manager, engine } = await startFake({ maxEvents: 8, logger: log.logger });
    const stream = manager.transitions();
    await manager.registerRoute(route(1), 'eth0');
    engine.become('10.9.0.1', 'up');
    for (let number = 2; number < 200; number += 1) {
      await manager.registerRoute(route(number), 'eth0');
      engine.become(`10.9.${number >> 8}.${number & 255}`, 'up');
      await manager.withdrawRoute(route(number), 'eth0');
      await settle();
    }
    await manager.close();
    const taken: Transition[] = [];
    for await (const transition of stream) taken.push(transition);
    expect(taken.length).toBeLessThanOrEqual(8);
    expect(taken[0]).toMatchObject({ peer: { peerIP: '10.9.0.1' }, to: 'up' });
    const dropped = log.of('warn').filter(({ fields }) => fields['code'] === 'ERR_TRANSITIONS_DROPPED');
    const count = dropped.reduce((sum, { fields }) => sum + Number(fields['count']), 0);
    expect(count + taken.length, 'what was dropped is told').toBe(199);
  });
});

describe('the series of a local address', () => {
  it('end five minutes after its last session and route, and continue with the next without decreasing', async () => {
    vi.useFakeTimers({ toFake: ['hrtime'] });
    try {
      const registry = new Registry();
      const { manager, engine } = await startFake({ metricsRegistry: registry });
      let tx = 100;
      const histogram = { bounds: [], counts: [0], sum: 0 };
      const endpoint = (localIP: string, up: number): EndpointStats => ({
        iface: 'eth0',
        localIP,
        sessions: { admin_down: 0, down: 0, init: 0, up },
        neverUp: 0,
        ...{ tx, rx: 0, rxInvalid: NOTHING_INVALID, unknownPeer: 1, writeErrors: 0, dropped: 0, timeouts: 0, localTimeouts: 0 },
        ...{ remoteDowns: 0, localRemoteDowns: 0, extensions: 0, queued: 0 },
        transitions: [],
        localDiagnostics: [],
        remoteDiagnostics: [],
        handleRx: histogram,
      });
      const stats = engine.stats.bind(engine);
      const show = (endpoints: EndpointStats[]): void => void Object.assign(engine, { stats: () => ({ ...stats(), endpoints }) });
      const sent = async (localIP: string): Promise<string | undefined> =>
        (await registry.metrics())
          .split('\n')
          .find((line) => line.startsWith(`liveness_control_packets_tx_total{iface="eth0",local_ip="${localIP}"}`));
      show([endpoint('10.0.0.1', 1), endpoint('10.0.0.9', 1), endpoint('0.0.0.0', 0)]);
      expect(await sent('10.0.0.9')).toContain('} 100');
      show([endpoint('10.0.0.1', 1), endpoint('10.0.0.9', 0), endpoint('0.0.0.0', 0)]);
      vi.advanceTimersByTime(299_000);
      expect(await sent('10.0.0.9'), 'its last values are read').toContain('} 100');
      vi.advanceTimersByTime(2_000);
      expect(await sent('10.0.0.9')).toBeUndefined();
      expect(await sent('10.0.0.1')).toContain('} 100');
      expect(await sent('0.0.0.0'), 'what belongs to no session stays').toContain('} 100');
      tx = 101;
      show([endpoint('10.0.0.9', 1)]);
      expect(await sent('10.0.0.9')).toContain('} 101');
      await manager.close();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a failed start', () => {
  it('leaves no metrics, whether it was aborted or its engine failed', async () => {
    const controller = new AbortController();
    const registry = new Registry();
    const config = { ...CONFIG, netlinker: new MemoryRoutes(), metricsRegistry: registry };
    const starting = startManager(config, controller.signal, (_, options, listener) => {
      controller.abort(new Error('changed my mind'));
      return Promise.resolve(new FakeEngine(options, listener));
    });
    await expect(starting).rejects.toThrow('changed my mind');
    expect(registry.getMetricsAsArray()).toEqual([]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});
