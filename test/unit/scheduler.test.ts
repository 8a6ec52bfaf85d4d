/** The building block `Scheduler` over a transport without a network, on a simulated clock. */
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  ControlPacket,
  Metrics,
  monotonicNow,
  Receiver,
  REFERENCE,
  ROBUST,
  Scheduler,
  type SchedulerOptions,
  type Session,
} from '../../ts/protocol.js';
import type { State } from '../../ts/protocol/state.js';
import { FakeUDP, newLog, scrape } from './fake-udp.js';
import { DETECT, HERE, INTERVAL, newSession, options, OURS, packet, PEER } from './session-helpers.js';

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate', 'hrtime', 'Date'],
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

class Bench {
  readonly udp = new FakeUDP();
  readonly down: Session[] = [];
  readonly log = newLog();
  readonly scheduler: Scheduler;
  readonly #abort = new AbortController();
  readonly running: Promise<void>;

  constructor(changes: Partial<SchedulerOptions> = {}) {
    const onSessionDown = (session: Session): void => void this.down.push(session);
    this.scheduler = new Scheduler({ udp: this.udp, onSessionDown, logger: this.log.logger, ...changes });
    this.running = this.scheduler.run({ signal: this.#abort.signal });
  }

  stop(): Promise<void> {
    this.#abort.abort();
    return this.running;
  }

  /** As a receiver's handler does it. */
  hear(session: Session, state: State, peerDiscr = OURS, now = monotonicNow()): boolean {
    const changed = session.handleRx(now, packet(state, PEER, peerDiscr));
    this.scheduler.handled(session, changed, now);
    return changed;
  }

  /** A session in Up that the scheduler drives. */
  async up(session = newSession(ROBUST)): Promise<Session> {
    this.scheduler.add(session);
    await pass(1);
    this.hear(session, 'init', session.snapshot().localDiscr);
    expect(session.getState()).toBe('up');
    return session;
  }

  sent(): { at: number; state: State }[] {
    return this.udp.written.map(({ at, bytes }) => ({ at, state: ControlPacket.unmarshal(bytes).state }));
  }
}

/** A session with a peer of its own. */
function numbered(index: number, changes = {}): Session {
  const peerIP = `10.1.${index >> 8}.${index & 255}`;
  return newSession(ROBUST, { peer: { ...HERE, peerIP }, localDiscr: index + 1, ...changes });
}

describe('a scheduler', () => {
  it('sends the first packet of a new session at once, although it sleeps', async () => {
    const bench = new Bench();
    await pass(3_600_000);
    expect(bench.udp.written).toHaveLength(0);
    bench.scheduler.add(newSession(ROBUST, { port: 5_000 }));
    await pass(0);
    expect(bench.udp.written).toMatchObject([{ to: { address: HERE.peerIP, port: 5_000 }, iface: HERE.iface, src: HERE.localIP }]);
    expect(ControlPacket.unmarshal(bench.udp.written[0]?.bytes ?? new Uint8Array())).toMatchObject({ state: 'down', localDiscr: OURS });
    await bench.stop();
  });

  it('sends the first packet of a new session at once, although all others are backed off', async () => {
    const bench = new Bench();
    bench.scheduler.add(newSession(ROBUST, { backoffMax: 600_000 }));
    await pass(300_000);
    const before = bench.udp.written.length;
    expect(before).toBeLessThan(15);
    bench.scheduler.add(numbered(1));
    await pass(0);
    expect(bench.udp.written).toHaveLength(before + 1);
    await bench.stop();
  });

  it('sends the first packets of sessions that were added before `run`', async () => {
    const udp = new FakeUDP();
    const scheduler = new Scheduler({ udp, onSessionDown: () => undefined });
    scheduler.add(newSession(ROBUST));
    await pass(10_000);
    expect(udp.written).toHaveLength(0);
    const abort = new AbortController();
    const running = scheduler.run({ signal: abort.signal });
    await pass(0);
    expect(udp.written).toHaveLength(1);
    abort.abort();
    await running;
  });

  it('backs off while Down, and sends at the agreed interval while Up', async () => {
    const bench = new Bench();
    const session = newSession(ROBUST);
    bench.scheduler.add(session);
    await pass(3_000);
    const gaps = bench
      .sent()
      .slice(1)
      .map(({ at }, index) => at - (bench.sent()[index]?.at ?? 0));
    for (const [index, expected] of [100, 200, 400, 800].entries()) {
      expect(gaps[index]).toBeGreaterThanOrEqual(0.9 * expected - 1);
      expect(gaps[index]).toBeLessThanOrEqual(1.1 * expected + 1);
    }
    bench.hear(session, 'init');
    const before = bench.udp.written.length;
    for (let round = 0; round < 20; round++) {
      await pass(INTERVAL);
      bench.hear(session, 'up');
    }
    expect(bench.udp.written.length - before).toBeGreaterThanOrEqual(18);
    expect(bench.udp.written.length - before).toBeLessThanOrEqual(24);
    await bench.stop();
  });

  it('announces a change at once', async () => {
    const bench = new Bench();
    const session = newSession(ROBUST);
    bench.scheduler.add(session);
    // Backed off to a second.
    await pass(2_900);
    await vi.advanceTimersToNextTimerAsync();
    await pass(INTERVAL + 1);
    const before = bench.udp.written.length;
    bench.hear(session, 'down', 0);
    await pass(1);
    expect(
      bench
        .sent()
        .slice(before)
        .map(({ state }) => state),
    ).toEqual(['init']);
    await bench.stop();
  });

  it('announces a change no sooner than one interval after the last packet, even if a peer flips the state', async () => {
    const bench = new Bench();
    const session = newSession(REFERENCE);
    bench.scheduler.add(session);
    await pass(1);
    // Under the reference’s rules every Down flips us between Down and Init.
    for (let flip = 0; flip < 1_000; flip++) {
      expect(bench.hear(session, 'down', 0)).toBe(true);
      await pass(1);
    }
    const times = bench.sent().map(({ at }) => at);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0.9 * INTERVAL - 1);
    expect(times.length).toBeGreaterThan(5);
    await bench.stop();
  });

  it('spreads the first packets of thousands over at most a second, and sends none twice meanwhile', async () => {
    const bench = new Bench();
    const slow = { txMin: 10_000, rxMin: 10_000, maxTxCeil: 60_000 };
    for (let index = 0; index < 5_000; index++) bench.scheduler.add(numbered(index, slow));
    const perTick: number[] = [];
    for (let tick = 0; tick < 100; tick++) {
      const before = bench.udp.written.length;
      await pass(10);
      perTick.push(bench.udp.written.length - before);
    }
    expect(new Set(bench.udp.written.map(({ to }) => to.address)).size).toBe(5_000);
    expect(bench.udp.written).toHaveLength(5_000);
    expect(Math.max(...perTick)).toBeLessThan(500);
    await bench.stop();
  });

  it('calls onSessionDown once after a timeout, and not from inside the turn', async () => {
    const bench = new Bench();
    const session = await bench.up();
    await pass(DETECT - 2);
    expect(bench.down).toEqual([]);
    await pass(2_000);
    expect(bench.down).toEqual([session]);
    expect(session.snapshot()).toMatchObject({ state: 'down', lastDownReason: 'timeout' });
    expect(bench.sent().some(({ at, state }) => state === 'down' && at > DETECT)).toBe(true);
    await bench.stop();
  });

  it('does not call onSessionDown if the peer said Down: the packet handler knows', async () => {
    const bench = new Bench();
    const session = await bench.up();
    bench.hear(session, 'admin_down');
    await pass(5_000);
    expect(session.getState()).toBe('down');
    expect(bench.down).toEqual([]);
    await bench.stop();
  });

  it('keeps a session removed that onSessionDown removes', async () => {
    const removed: Session[] = [];
    const bench: Bench = new Bench({
      onSessionDown: (session) => {
        bench.scheduler.remove(session);
        removed.push(session);
      },
    });
    const session = await bench.up();
    await pass(DETECT + 1);
    expect(removed).toEqual([session]);
    const before = bench.udp.written.length;
    bench.scheduler.handled(session, true, monotonicNow());
    await pass(10_000);
    expect(bench.udp.written).toHaveLength(before);
    expect(removed).toHaveLength(1);
    await bench.stop();
  });

  it('accepts a removed session again', async () => {
    const bench = new Bench();
    const session = await bench.up();
    bench.scheduler.remove(session);
    bench.scheduler.remove(session);
    const before = bench.udp.written.length;
    await pass(DETECT + 10);
    expect(bench.udp.written).toHaveLength(before);
    expect(session.getState(), 'nobody judges it').toBe('up');
    bench.scheduler.add(session);
    bench.scheduler.add(session);
    await pass(1);
    expect(bench.udp.written).toHaveLength(before + 1);
    await bench.stop();
  });

  it('restarts detection with every handled packet', async () => {
    const bench = new Bench();
    const session = await bench.up();
    for (let round = 0; round < 50; round++) {
      await pass(DETECT - 5);
      bench.hear(session, 'up');
    }
    expect(session.getState()).toBe('up');
    await pass(DETECT + 5);
    expect(bench.down).toEqual([session]);
    await bench.stop();
  });

  it('checks detection by the interval that the peer advertises, also when it becomes shorter', async () => {
    const bench = new Bench();
    const session = newSession(ROBUST, { rxMin: 50 });
    bench.scheduler.add(session);
    await pass(1);
    const slow = packet('init', PEER, OURS, { desiredMinTxUs: 900_000 });
    bench.scheduler.handled(session, session.handleRx(monotonicNow(), slow), monotonicNow());
    await pass(10);
    const fast = packet('up', PEER, OURS, { desiredMinTxUs: 50_000 });
    bench.scheduler.handled(session, session.handleRx(monotonicNow(), fast), monotonicNow());
    await pass(155);
    expect(bench.down).toEqual([session]);
    await bench.stop();
  });

  it('refuses one session too many, and names the value to set', async () => {
    const bench = new Bench({ maxEvents: 5 });
    bench.scheduler.add(numbered(1));
    bench.scheduler.add(numbered(2));
    const message = expect.stringMatching(/`maxEvents` \(5\).* at least 6/) as string;
    expect(() => bench.scheduler.add(numbered(3))).toThrow(expect.objectContaining({ code: 'ERR_TOO_MANY_SESSIONS', message }));
    await pass(10);
    expect(bench.udp.written, 'the others go on').toHaveLength(2);
    await bench.stop();
  });

  it('ends with its signal, and leaves no timer', async () => {
    const bench = new Bench();
    await bench.up();
    await pass(50);
    await bench.stop();
    expect(vi.getTimerCount()).toBe(0);
    const before = bench.udp.written.length;
    await pass(10_000);
    expect(bench.udp.written).toHaveLength(before);
    expect(bench.down).toEqual([]);
  });

  it('does not start if the signal is aborted already', async () => {
    const bench = new Bench();
    await bench.stop();
    await bench.scheduler.run({ signal: AbortSignal.abort() });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('continues if a handler throws or rejects: counted, and logged once in five seconds', async () => {
    for (const onSessionDown of [
      () => {
        throw new Error('handler');
      },
      (() => Promise.reject(new Error('handler'))) as () => void,
    ]) {
      const bench = new Bench({ onSessionDown });
      const session = newSession(ROBUST);
      for (let round = 0; round < 4; round++) {
        if (round === 0) await bench.up(session);
        else bench.hear(session, 'init');
        await pass(DETECT + 50);
        expect(session.getState()).toBe('down');
      }
      expect(bench.scheduler.stats().handlerErrors).toBe(4);
      expect(bench.log.of('error')).toMatchObject([{ message: expect.stringContaining('handler') as string }]);
      await pass(5_000);
      bench.hear(session, 'init');
      await pass(DETECT + 50);
      expect(bench.log.of('error').map(({ fields }) => fields['skipped'])).toEqual([0, 3]);
      await bench.stop();
    }
  });

  it('continues if writing fails, at once or later: counted, and logged once in five seconds', async () => {
    const bench = new Bench();
    bench.udp.onWrite = () => {
      throw Object.assign(new Error('unreachable'), { code: 'ENETUNREACH' });
    };
    const session = newSession(ROBUST, { txMin: 100, backoffMax: 100 });
    bench.scheduler.add(session);
    await pass(4_000);
    expect(bench.log.of('warn')).toHaveLength(1);
    expect(bench.scheduler.stats().writeErrors).toBeGreaterThan(30);
    bench.udp.onWrite = () => undefined;
    await pass(200);
    expect(bench.udp.written.length).toBeGreaterThan(0);
    expect(bench.scheduler.stats().sent).toBe(bench.udp.written.length);
    await bench.stop();
  });

  it.each([
    ['no transport', { udp: {} }],
    ['no handler', { onSessionDown: 7 }],
    ['no room', { maxEvents: 1 }],
    ['half an event', { maxEvents: 2.5 }],
  ])('with %s is refused', (_, wrong) => {
    const good = { udp: new FakeUDP(), onSessionDown: () => undefined };
    expect(() => new Scheduler({ ...good, ...wrong } as SchedulerOptions)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
  });

  it('refuses an invalid session and an invalid time', async () => {
    const bench = new Bench();
    expect(() => bench.scheduler.add(options() as unknown as Session)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    const session = await bench.up();
    for (const now of [Number.NaN, '1', undefined] as number[]) {
      expect(() => bench.scheduler.handled(session, true, now)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    }
    await pass(2 * INTERVAL);
    expect(bench.udp.written.length, 'it goes on as before').toBeGreaterThan(1);
    await bench.stop();
  });
});

describe('before a scheduler takes a session Down', () => {
  it('it handles all waiting packets, however many rounds that takes', async () => {
    const bench = new Bench();
    const session = await bench.up();
    const other = numbered(1);
    bench.scheduler.add(other);
    // At the deadline the process finds its socket full, with the packet of the session at the end.
    const backlog = (left: number): void => {
      if (left === 0) bench.hear(session, 'up', OURS, monotonicNow() - 20);
      else {
        bench.hear(other, 'down', 0);
        setImmediate(() => backlog(left - 1));
      }
    };
    setTimeout(() => backlog(20), DETECT);
    await pass(DETECT + 30);
    expect(session.getState()).toBe('up');
    expect(bench.down).toEqual([]);
    await pass(DETECT + 30);
    expect(bench.down).toContain(session);
    await bench.stop();
  });

  it('a flood delays neither the timeout nor the transmits', async () => {
    const bench = new Bench();
    const silent = await bench.up();
    const loud = await bench.up(numbered(1));
    let sent = 0;
    let downAt: number | undefined;
    // Every round of the event loop brings a packet. On the simulated clock a round takes a millisecond.
    const flood = (round: number): void => {
      bench.scheduler.handled(loud, loud.handleRx(monotonicNow(), packet('up', PEER, 2)), monotonicNow());
      if (bench.down.length > 0) downAt ??= round;
      if (round < 2_000) setImmediate(() => flood(round + 1));
      else sent = bench.udp.written.filter(({ to }) => to.address === loud.peer.peerIP).length;
    };
    setTimeout(() => flood(0), DETECT - 1);
    await pass(DETECT + 2_100);
    expect(downAt).toBeLessThan(500);
    expect(bench.down).toEqual([silent]);
    expect(sent, 'one in an interval, all the time').toBeGreaterThanOrEqual(Math.floor((DETECT + 2_000) / (1.1 * INTERVAL + 1)));
    await bench.stop();
  });

  it('its signal ends it, however many packets wait', async () => {
    const bench = new Bench();
    const session = await bench.up();
    setTimeout(() => void bench.stop(), DETECT);
    await pass(2 * DETECT);
    await bench.running;
    expect(session.getState()).toBe('up');
  });

  it('a packet that the session ignored allows no second extension', async () => {
    const bench = new Bench();
    const session = await bench.up();
    const { hrtime } = process;
    let stalled = 0;
    vi.spyOn(process, 'hrtime').mockImplementation(() => {
      const [seconds, nanoseconds] = hrtime();
      const all = nanoseconds + stalled * 1_000_000;
      return [seconds + Math.floor(all / 1e9), Math.floor(all % 1e9)];
    });
    // The process stood still for longer than the detection time: the silence may be its own.
    setTimeout(() => (stalled = DETECT), 50);
    await pass(60);
    expect(session.getState(), 'one grace').toBe('up');
    for (let round = 0; round < 40 && session.getState() === 'up'; round++) {
      bench.hear(session, 'up', 0xdead);
      await pass(10);
    }
    expect(monotonicNow() - stalled, 'one transmit interval').toBeGreaterThan(0);
    expect(bench.down).toEqual([session]);
    await bench.stop();
  });
});

describe('the metrics of a scheduler', () => {
  const SCOPE = 'iface="eth0",local_ip="10.0.0.1"';

  it('follow a session from start to end, and balance', async () => {
    const registry = new Registry();
    const metrics = new Metrics().register(registry);
    const bench = new Bench({ metrics, enablePeerMetrics: true });
    const value = async (name: string, labels: string): Promise<number | undefined> =>
      (await scrape(registry)).get(`liveness_${name}{${labels}}`);
    const session = newSession(ROBUST);
    bench.scheduler.add(session);
    expect(await value('sessions', `${SCOPE},state="down"`)).toBe(1);
    expect(await value('scheduler_service_queue_len', SCOPE)).toBe(1);
    await pass(1);
    bench.hear(session, 'init');
    expect(await value('sessions', `${SCOPE},state="down"`)).toBe(0);
    expect(await value('sessions', `${SCOPE},state="up"`)).toBe(1);
    expect(await value('session_transitions_total', `${SCOPE},state_from="down",state_to="up",reason="handle_rx"`)).toBe(1);
    expect(await value('scheduler_service_queue_len', SCOPE)).toBe(2);
    expect((await scrape(registry)).get('liveness_scheduler_total_queue_len')).toBe(2);
    expect(await value('peer_sessions', `${SCOPE},peer_ip="10.0.0.2",state="up"`)).toBe(1);
    expect(await value('peer_session_detect_time_seconds', `${SCOPE},peer_ip="10.0.0.2"`)).toBe(0.3);
    await pass(DETECT + 1);
    expect(await value('session_transitions_total', `${SCOPE},state_from="up",state_to="down",reason="detect_timeout"`)).toBe(1);
    expect(await value('control_packets_tx_total', SCOPE)).toBe(bench.udp.written.length);
    bench.udp.onWrite = () => {
      throw new Error('full');
    };
    await pass(2_000);
    expect(await value('write_socket_errors_total', `${SCOPE},operation="write_to"`)).toBeGreaterThan(0);
    bench.scheduler.remove(session);
    for (const [series, left] of await scrape(registry)) {
      if (/^liveness_(sessions|scheduler_\w+_queue_len)/.test(series)) expect(left, series).toBe(0);
      expect(series).not.toContain('peer_ip');
    }
    await bench.stop();
  });

  it('balance also if the user changes the session', async () => {
    const registry = new Registry();
    const bench = new Bench({ metrics: new Metrics().register(registry), enablePeerMetrics: true });
    const session = await bench.up();
    session.expireIfDue(monotonicNow() + DETECT);
    bench.scheduler.handled(session, false, monotonicNow());
    session.handleRx(monotonicNow(), packet('init', PEER, OURS));
    await pass(DETECT + 1);
    bench.scheduler.remove(session);
    for (const [series, left] of await scrape(registry)) {
      if (series.startsWith('liveness_sessions')) expect(left, series).toBe(0);
      expect(series).not.toContain('peer_ip');
    }
    await bench.stop();
  });
});

describe('schedulers and receivers', () => {
  /** Two agents over transports that are tied together: what one writes the other reads two milliseconds later. */
  function pair() {
    const abort = new AbortController();
    let isCut = false;
    const ends = (['10.0.0.1', '10.0.0.2'] as const).map((localIP, index) => {
      const peerIP = index === 0 ? '10.0.0.2' : '10.0.0.1';
      const udp = new FakeUDP();
      const session = newSession(ROBUST, { peer: { iface: 'eth0', localIP, peerIP }, localDiscr: index + 1 });
      const down: Session[] = [];
      const scheduler = new Scheduler({ udp, onSessionDown: (it) => void down.push(it) });
      const receiver = new Receiver({
        udp,
        handleRx: (given, peer, arrival) => {
          expect(peer).toEqual(session.peer);
          scheduler.handled(session, session.handleRx(arrival, given), arrival);
        },
      });
      scheduler.add(session);
      const running = Promise.all([scheduler.run({ signal: abort.signal }), receiver.run({ signal: abort.signal })]);
      return { udp, session, down, running, localIP };
    });
    for (const [index, { udp, localIP }] of ends.entries()) {
      udp.onWrite = ({ bytes }) => {
        const other = ends[1 - index];
        setTimeout(() => {
          if (!isCut) other?.udp.deliver(bytes, { localIP: other.localIP, remote: { address: localIP, port: 44880 } });
        }, 2);
      };
    }
    const cut = (whether: boolean): void => {
      isCut = whether;
    };
    const stop = async (): Promise<void> => {
      abort.abort();
      await Promise.all(ends.map(({ running }) => running));
    };
    return { ends, cut, stop };
  }

  it('bring sessions Up, detect a cut within the detection time, and recover', async () => {
    const { ends, cut, stop } = pair();
    await pass(2 * INTERVAL + 50);
    expect(ends.map(({ session }) => session.getState())).toEqual(['up', 'up']);
    await pass(60_000);
    expect(ends.flatMap(({ down }) => down)).toEqual([]);
    cut(true);
    await pass(DETECT + 5);
    expect(ends.map(({ session }) => session.getState())).toEqual(['down', 'down']);
    await pass(60_000);
    cut(false);
    // The shorter of two waits that are backed off to a second, and the handshake.
    await pass(1_100 + 2 * INTERVAL + 50);
    expect(ends.map(({ session }) => session.getState())).toEqual(['up', 'up']);
    expect(ends.map(({ down }) => down.length)).toEqual([1, 1]);
    await stop();
    await pass(5);
    expect(vi.getTimerCount()).toBe(0);
  });
});
