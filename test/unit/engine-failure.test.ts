/** The engine stops by itself, and whoever can hear of it does. */
import { EventEmitter } from 'node:events';
import { setImmediate as round } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Manager, type Transition } from '../../ts/index.js';
import { settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';

const route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const failure = new Error('the thread died');

const warnings: (Error & { code?: string })[] = [];
const remember = (warning: Error): void => void warnings.push(warning);
beforeEach(() => {
  warnings.length = 0;
  process.on('warning', remember);
});
afterEach(() => void process.off('warning', remember));

describe('an engine that stops by itself', () => {
  it('warns the process if there is neither a logger nor a listener', async () => {
    const { engine } = await startFake();
    engine.listener.fatal(failure);
    await round();
    expect(warnings).toMatchObject([{ code: 'ERR_ENGINE_STOPPED', message: expect.stringContaining('the thread died') as string }]);
  });

  it('does not warn the process if there is a logger or a listener', async () => {
    const log = newLog();
    const { engine } = await startFake({ logger: log.logger });
    engine.listener.fatal(failure);
    const second = await startFake();
    second.manager.on('error', () => undefined);
    second.engine.listener.fatal(failure);
    await round();
    expect(warnings).toEqual([]);
    expect(log.of('error')).toHaveLength(1);
  });

  it('makes an iteration over transitions throw, after the pending transitions', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(route, 'eth0');
    const transitions = manager.transitions();
    engine.become('10.9.0.2', 'up');
    engine.listener.fatal(failure);
    const taken: Transition[] = [];
    const iterate = async (): Promise<void> => {
      for await (const transition of transitions) taken.push(transition);
    };
    await expect(iterate()).rejects.toBe(failure);
    expect(taken).toMatchObject([{ to: 'up' }]);
    expect(await transitions.next()).toEqual({ done: true, value: undefined });
  });

  it('makes a waiting iteration throw, and one that begins later', async () => {
    const { manager, engine } = await startFake();
    const waiting = manager.transitions().next();
    engine.listener.fatal(failure);
    await expect(waiting).rejects.toBe(failure);
    await expect(manager.transitions().next()).rejects.toBe(failure);
  });

  it('causes no unhandled rejection if nobody reads the iteration', async () => {
    const { manager, engine } = await startFake();
    manager.transitions();
    engine.listener.fatal(failure);
    await settle();
    await round();
  });

  it('is reported to `errorMonitor`, with and without a listener of `error`', async () => {
    for (const others of [0, 1]) {
      const { manager, engine } = await startFake();
      const heard: Error[] = [];
      manager.on(EventEmitter.errorMonitor as never, ((error: Error) => heard.push(error)) as never);
      for (let other = 0; other < others; other += 1) manager.on('error', () => undefined);
      engine.listener.fatal(failure);
      await settle();
      expect(heard).toEqual([failure]);
    }
  });
});

describe('a manager', () => {
  it('cannot be made with `new`', () => {
    // The types refuse it: test/types/manager.ts.
    const Constructor = Manager as unknown as new (...given: unknown[]) => unknown;
    for (const given of [[], [{ bindIP: '10.0.0.1' }], [{}, {}, {}]]) {
      expect(() => new Constructor(...given)).toThrow(
        expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining('Manager.start') as string }),
      );
    }
  });
});
