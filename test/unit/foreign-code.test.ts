/** Code of the user's that throws, rejects or never answers: loggers, listeners, registries, transports. */
import { setImmediate as round } from 'node:timers/promises';

import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Metrics, Receiver, Scheduler, Session } from '../../ts/protocol.js';
import type { EngineListener, EngineOptions } from '../../ts/engine/engine.js';
import { JsEngine } from '../../ts/engine/js/js-engine.js';
import { type Logger, type ManagerConfig, MemoryRoutes, type Route } from '../../ts/index.js';
import { startManager } from '../../ts/manager/manager.js';
import { CONFIG, FakeEngine, settle, startFake } from './fake-engine.js';
import { FakeUDP, newLog } from './fake-udp.js';
import { options as sessionOptions, packet } from './session-helpers.js';

const route = (number: number): Route => ({
  table: 254,
  dst: `10.9.0.${number}/32`,
  src: '10.0.0.1',
  nextHop: '10.0.0.2',
  protocol: 186,
});
const PEERS = Array.from({ length: 20 }, (_, index) => index + 1);

/** What cannot even be turned into text. */
const NOTHING_TO_SHOW: unknown = Object.create(null);

function fail(): never {
  throw NOTHING_TO_SHOW;
}

/** A promise of somebody else's making: no prototype, and it rejects. */
function rejectingThenable(): unknown {
  const thenable = Object.create(null) as { then: (resolve: unknown, reject: (reason: unknown) => void) => void };
  thenable.then = (_, reject) => reject(NOTHING_TO_SHOW);
  return thenable;
}

/** Each way in which a call into foreign code can fail. */
const FAILURES: [string, () => unknown][] = [
  ['throws', fail],
  ['rejects', () => Promise.reject(new Error('later'))],
  ['gives a thenable without prototype that rejects', rejectingThenable],
  ['gives a thenable that throws', () => ({ then: fail })],
  ['gives an object whose `then` cannot be read', () => Object.defineProperty({}, 'then', { get: fail })],
];

/** A logger whose methods all fail; it has itself as a child. */
function failingLogger(failure: () => unknown, calls: string[] = []): Logger {
  const method = (name: string) => (): never => {
    calls.push(name);
    return failure() as never;
  };
  const logger: Logger = {
    child: () => logger,
    trace: method('trace'),
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
  };
  return logger;
}

const warnings: (Error & { code?: string })[] = [];
const remember = (warning: Error): void => void warnings.push(warning);
const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);

beforeEach(() => {
  warnings.length = 0;
  unhandled.length = 0;
  process.on('warning', remember);
  process.on('unhandledRejection', note);
});

afterEach(async () => {
  await round();
  process.off('warning', remember);
  process.off('unhandledRejection', note);
  expect(unhandled, 'no rejection is left to end the process').toEqual([]);
});

async function startWithRoutes(config: Partial<ManagerConfig> = {}) {
  const started = await startFake(config);
  await started.manager.registerRoutes(PEERS.map((number) => ({ route: route(number), iface: 'eth0' })));
  return started;
}

describe('`console` as the logger', () => {
  it('gets the message, then the fields', async () => {
    const info = vi.spyOn(console, 'info').mockImplementation(() => undefined);
    const { manager } = await startFake({ logger: console });
    await manager.close();
    expect(info).toHaveBeenCalledWith('closed', {});
    info.mockRestore();
  });
});

describe('a failing logger', () => {
  it.each(FAILURES)('that %s does not keep a route from its withdrawal', async (_, failure) => {
    const calls: string[] = [];
    const { engine, routes, manager } = await startWithRoutes({ logger: failingLogger(failure, calls) });
    engine.becomeAll('up');
    await settle();
    expect(routes.routeByProtocol(186)).toHaveLength(20);
    engine.becomeAll('down');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
    expect(calls.length).toBeGreaterThan(40);
    await manager.close({ withdrawRoutes: true });
    await manager.closed;
  });

  it('warns the process once', async () => {
    const { engine } = await startWithRoutes({ logger: failingLogger(fail) });
    engine.becomeAll('up');
    engine.becomeAll('down');
    await round();
    const told = warnings.filter(({ code }) => code === 'ERR_LOGGER');
    expect(told).toHaveLength(1);
    expect(told[0]?.message).toContain('logger');
  });

  it('that fails once still gets the later lines', async () => {
    const { logger, of } = newLog();
    let isFirst = true;
    const warn: Logger['warn'] = (fields, message) => {
      if (isFirst) {
        isFirst = false;
        throw new Error('disk full');
      }
      logger.info(fields, message);
    };
    const mine: Logger = { ...logger, warn, child: () => mine };
    const { engine, routes } = await startWithRoutes({ logger: mine });
    engine.becomeAll('up');
    await settle();
    engine.becomeAll('down');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
    expect(of('info').filter(({ message }) => message.includes('went from up to down'))).toHaveLength(19);
  });

  it('that makes no child is refused before an engine is started', async () => {
    for (const child of [fail, () => ({}) as never]) {
      await expect(startFake({ logger: { ...newLog().logger, child } })).rejects.toMatchObject({
        code: 'ERR_CONFIG',
        issues: [{ path: 'logger' }],
      });
    }
  });
});

describe('the manager moves routes', () => {
  it('before it calls loggers and listeners', async () => {
    const deleted: string[] = [];
    const memory = new MemoryRoutes();
    const netlinker = {
      routeAdd: (it: Route) => memory.routeAdd(it),
      routeDelete: (it: Route) => void deleted.push(it.dst),
      routeByProtocol: (protocol: number) => memory.routeByProtocol(protocol),
    };
    const { engine, manager } = await startWithRoutes({ netlinker });
    engine.becomeAll('up');
    await settle();
    const wanted: number[] = [];
    // A listener that takes long, or blocks, blocks nobody's route: all deletions have been asked for by then.
    manager.on('transition', ({ to }) => {
      if (to === 'down') wanted.push(manager.getSessions().filter(({ state }) => state === 'down').length);
    });
    let asked: number | undefined;
    manager.once('transition', () => queueMicrotask(() => (asked = deleted.length)));
    engine.becomeAll('down');
    await settle();
    expect(asked).toBe(20);
    expect(wanted).toHaveLength(20);
  });
});

describe('a failing listener', () => {
  it.each(FAILURES)('that %s does not keep an event from other listeners, and is logged', async (_, failure) => {
    const log = newLog();
    const { engine, manager, routes } = await startWithRoutes({ logger: log.logger });
    const heard: string[] = [];
    for (const event of ['transition', 'route'] as const) {
      manager.on(event, failure);
      manager.on(event, () => void heard.push(event));
    }
    engine.becomeAll('up');
    await settle();
    await round();
    expect(routes.routeByProtocol(186)).toHaveLength(20);
    expect(heard.filter((event) => event === 'transition')).toHaveLength(20);
    expect(heard.filter((event) => event === 'route')).toHaveLength(20);
    expect(log.of('error').filter(({ message }) => message.includes("a listener of 'transition' failed"))).toHaveLength(20);
  });

  it('warns the process if there is no logger', async () => {
    const { engine, manager } = await startWithRoutes();
    manager.once('transition', () => Promise.reject(new Error('lost')) as never);
    engine.becomeAll('up');
    await settle();
    await round();
    expect(warnings).toMatchObject([{ code: 'ERR_LISTENER', message: expect.stringContaining('lost') as string }]);
  });

  it('of `error` does not affect `closed`', async () => {
    const { engine, manager } = await startWithRoutes();
    const failure = new Error('the thread died');
    manager.on('error', fail);
    engine.listener.fatal(failure);
    await expect(manager.closed).rejects.toBe(failure);
  });
});

describe('a metrics registry that throws', () => {
  it('refuses the start with a code, and leaves no metric and no engine', async () => {
    const registry = new Registry();
    let calls = 0;
    const register = registry.registerMetric.bind(registry);
    registry.registerMetric = (metric) => {
      calls += 1;
      if (calls === 5) fail();
      register(metric);
    };
    let engine: FakeEngine | undefined;
    const starting = startManager(
      { ...CONFIG, netlinker: new MemoryRoutes(), metricsRegistry: registry },
      undefined,
      (_, options, listener) => {
        engine = new FakeEngine(options, listener);
        return Promise.resolve(engine);
      },
    );
    await expect(starting).rejects.toMatchObject({ code: 'ERR_CONFIG' });
    expect(registry.getMetricsAsArray()).toEqual([]);
    expect(engine?.closedWith).toBeDefined();
  });

  it('in getSingleMetric is an error with a code', async () => {
    const registry = Object.assign(new Registry(), { getSingleMetric: fail });
    await expect(startFake({ metricsRegistry: registry })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
  });
});

/** A manager over a transport of the user's. */
async function startOver(udp: FakeUDP, logger?: Logger) {
  const startJs = (_: unknown, options: EngineOptions, listener: EngineListener) => JsEngine.start(options, listener, udp);
  return startManager({ ...CONFIG, netlinker: new MemoryRoutes(), udp, logger }, undefined, startJs);
}

describe('a failing transport of the user', () => {
  it.each(FAILURES)('that %s on close does not keep the manager from closing', async (_, failure) => {
    const udp = new FakeUDP();
    const log = newLog();
    const manager = await startOver(udp, log.logger);
    udp.close = failure;
    await manager.close();
    await manager.closed;
    expect(log.of('warn').some(({ fields }) => fields['code'] === 'ERR_UDP')).toBe(true);
  });

  it('on a close by a signal or after an engine failure does not end the process', async () => {
    const controller = new AbortController();
    const udp = new FakeUDP();
    const config = { ...CONFIG, netlinker: new MemoryRoutes(), udp };
    const startJs = (_: unknown, options: EngineOptions, listener: EngineListener) => JsEngine.start(options, listener, udp);
    const manager = await startManager(config, controller.signal, startJs);
    udp.close = () => Promise.reject(new Error('stuck')) as never;
    controller.abort();
    await manager.closed;
  });

  it('that never finishes closing is abandoned after 2 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const udp = new FakeUDP();
      const manager = await startOver(udp);
      udp.close = () => new Promise(() => undefined) as never;
      const closed = manager.close();
      await vi.advanceTimersByTimeAsync(2_000);
      await closed;
    } finally {
      vi.useRealTimers();
    }
  });

  it('whose localAddr throws has no address', async () => {
    const udp = new FakeUDP();
    const manager = await startOver(udp);
    udp.localAddr = fail;
    expect(manager.localAddr()).toBeUndefined();
    await manager.close();
  });
});

describe('the building blocks', () => {
  const bytes = packet('down', 7, 0).marshal();

  it.each(FAILURES)('continue with a logger, metrics and a handler that fail: each %s', async (_, failure) => {
    const udp = new FakeUDP();
    udp.onWrite = () => {
      throw new Error('unreachable');
    };
    udp.localAddr = fail;
    const metrics = new Metrics();
    for (const metric of metrics.all()) {
      for (const name of ['inc', 'dec', 'set', 'observe', 'remove']) Object.assign(metric, { [name]: failure });
    }
    const options = { udp, metrics, logger: failingLogger(failure) };
    const controller = new AbortController();
    const receiver = new Receiver({ ...options, handleRx: failure });
    const scheduler = new Scheduler({ ...options, enablePeerMetrics: true, onSessionDown: failure });
    scheduler.add(new Session(sessionOptions()));
    const running = Promise.all([receiver.run({ signal: controller.signal }), scheduler.run({ signal: controller.signal })]);
    udp.failReads(new Error('once'));
    udp.deliver(bytes);
    udp.deliver(new Uint8Array(3));
    while (receiver.stats().received < 1 || receiver.stats().invalid < 1 || scheduler.stats().writeErrors < 1) await round();
    await round();
    expect(receiver.stats()).toMatchObject({ readErrors: 1, handlerErrors: 1 });
    const setReadDeadline = udp.setReadDeadline.bind(udp);
    udp.setReadDeadline = (deadline) => {
      setReadDeadline(deadline);
      fail();
    };
    controller.abort();
    await running;
  });
});
