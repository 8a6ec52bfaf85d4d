/** The building block `Receiver` over a transport without a network, on a simulated clock. */
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ControlPacket, type HandleRx, Metrics, monotonicNow, type Peer, Receiver, type ReceiverOptions } from '../../ts/protocol.js';
import { FakeUDP, newLog, scrape } from './fake-udp.js';
import { HERE, OURS, packet, PEER } from './session-helpers.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'hrtime', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);
const good = (): Uint8Array => packet('up', PEER, OURS).marshal();
const failure = (code: string): Error => Object.assign(new Error(`failed: ${code}`), { code });

class Bench {
  readonly udp = new FakeUDP();
  readonly log = newLog();
  readonly heard: { packet: ControlPacket; peer: Peer; arrival: number }[] = [];
  readonly receiver: Receiver;
  readonly #abort = new AbortController();
  readonly running: Promise<void>;

  constructor(changes: Partial<ReceiverOptions> = {}) {
    const handleRx: HandleRx = (given, peer, arrival) => void this.heard.push({ packet: given, peer, arrival });
    this.receiver = new Receiver({ udp: this.udp, handleRx, logger: this.log.logger, ...changes });
    this.running = this.receiver.run({ signal: this.#abort.signal });
    this.running.catch(() => undefined);
  }

  stop(): Promise<void> {
    this.#abort.abort();
    return this.running;
  }
}

describe('a receiver', () => {
  it('passes every packet with its peer and its arrival', async () => {
    const bench = new Bench();
    await pass(1);
    bench.udp.deliver(good(), { arrival: 123.456 });
    await pass(0);
    expect(bench.heard).toEqual([{ packet: packet('up', PEER, OURS), peer: HERE, arrival: 123.456 }]);
    await bench.stop();
  });

  it('passes all packets in the order of arrival', async () => {
    const bench = new Bench();
    for (let discr = 1; discr <= 3_000; discr++) bench.udp.deliver(packet('down', discr, 0).marshal());
    await pass(1);
    expect(bench.heard.map((it) => it.packet.localDiscr)).toEqual(Array.from({ length: 3_000 }, (_, index) => index + 1));
    await bench.stop();
  });

  it('drops invalid packets, and logs them at debug level only', async () => {
    const registry = new Registry();
    const bench = new Bench({ metrics: new Metrics().register(registry) });
    const bad: [string, Uint8Array][] = [
      ['short', good().subarray(0, 39)],
      ['bad_version', good().fill(0x40, 0, 1)],
      ['bad_len', good().fill(41, 3, 4)],
      ['bad_detect_mult', good().fill(0, 2, 3)],
      ['bad_discr', good().fill(0, 4, 8)],
    ];
    for (let time = 0; time < 10; time++) for (const [, bytes] of bad) bench.udp.deliver(bytes);
    bench.udp.deliver(good());
    await pass(1);
    expect(bench.heard).toHaveLength(1);
    expect(bench.receiver.stats()).toEqual({ received: 1, invalid: 50, readErrors: 0, handlerErrors: 0 });
    expect(bench.log.lines.filter(({ level }) => level !== 'debug')).toEqual([]);
    expect(bench.log.of('debug'), 'one line of each kind').toHaveLength(bad.length);
    const series = await scrape(registry);
    for (const [reason] of bad) {
      expect(series.get(`liveness_control_packets_rx_invalid_total{iface="eth0",local_ip="10.0.0.1",reason="${reason}"}`)).toBe(10);
    }
    expect(series.get('liveness_control_packets_rx_total{iface="eth0",local_ip="10.0.0.1"}')).toBe(1);
    expect(series.get('liveness_handle_rx_duration_seconds_count{iface="eth0",local_ip="10.0.0.1"}')).toBe(1);
    await bench.stop();
  });

  it.each<[string, HandleRx]>([
    [
      'throws',
      () => {
        throw new Error('handler');
      },
    ],
    [
      'throws what is no error',
      () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error
        throw 'handler';
      },
    ],
    ['rejects', () => Promise.reject(new Error('handler'))],
  ])('continues if the handler %s: counted, and logged once in five seconds', async (_, handleRx) => {
    const bench = new Bench({ handleRx });
    for (let time = 0; time < 100; time++) bench.udp.deliver(good());
    await pass(1);
    expect(bench.receiver.stats()).toMatchObject({ received: 100, handlerErrors: 100 });
    expect(bench.log.of('error')).toHaveLength(1);
    expect(bench.log.of('error')[0]?.message).toContain('handler');
    await pass(5_000);
    bench.udp.deliver(good());
    await pass(1);
    expect(bench.log.of('error').map(({ fields }) => fields['skipped'])).toEqual([0, 99]);
    await bench.stop();
  });

  it('continues after a failed read: counted, logged once in five seconds, and with a pause', async () => {
    const registry = new Registry();
    const bench = new Bench({ metrics: new Metrics().register(registry) });
    bench.udp.failReads(...Array.from({ length: 100 }, () => failure('ECONNREFUSED')));
    await pass(50);
    expect(bench.udp.reads).toBeLessThan(10);
    await pass(2_000);
    expect(bench.receiver.stats().readErrors).toBe(100);
    expect(bench.log.of('warn')).toHaveLength(1);
    const series = await scrape(registry);
    expect(series.get('liveness_read_socket_errors_total{iface="",local_ip="10.0.0.1",operation="read_from"}')).toBe(100);
    bench.udp.deliver(good());
    await pass(0);
    expect(bench.heard).toHaveLength(1);
    await bench.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each(['ERR_CLOSED', 'EBADF', 'ENOTSOCK', 'ENODEV', 'ERR_SOCKET_DGRAM_NOT_RUNNING'])(
    'ends with %s, which no further read will mend',
    async (code) => {
      const bench = new Bench();
      const fatal = failure(code);
      bench.udp.failReads(fatal);
      await pass(1);
      await expect(bench.running).rejects.toBe(fatal);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it('ends when its transport is closed', async () => {
    const bench = new Bench();
    await pass(1);
    bench.udp.close();
    await expect(bench.running).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  it('continues after a read deadline of the user has passed, without a busy loop', async () => {
    const bench = new Bench();
    bench.udp.setReadDeadline(monotonicNow() + 100);
    await pass(1_000);
    expect(bench.udp.reads).toBeLessThan(20);
    bench.udp.deliver(good());
    await pass(1);
    expect(bench.heard).toHaveLength(1);
    expect(bench.receiver.stats().readErrors).toBe(0);
    await bench.stop();
  });

  it('yields to the event loop over a transport whose reads time out at once', async () => {
    const bench = new Bench();
    bench.udp.failReads(...Array.from({ length: 1_000 }, () => failure('ETIMEDOUT')));
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      if (bench.udp.reads < 900) setImmediate(turn);
    };
    setImmediate(turn);
    await pass(100_000);
    expect(turns).toBeGreaterThan(100);
    await bench.stop();
  });

  it('ends with its signal during a read, and leaves the transport open and no timer', async () => {
    const bench = new Bench();
    await pass(10);
    await bench.stop();
    expect(vi.getTimerCount()).toBe(0);
    bench.udp.deliver(good());
    await expect(bench.udp.readFrom()).resolves.toMatchObject({ localIP: '10.0.0.1' });
    expect(bench.heard).toEqual([]);
  });

  it('ends with its signal during the pause after a failure', async () => {
    const bench = new Bench();
    bench.udp.failReads(failure('EIO'));
    await pass(1);
    const ended = bench.stop();
    await pass(20);
    await ended;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not start if the signal is aborted already', async () => {
    const udp = new FakeUDP();
    await new Receiver({ udp, handleRx: () => undefined }).run({ signal: AbortSignal.abort() });
    expect(udp.reads).toBe(0);
  });

  it.each([
    ['no transport', { udp: undefined }],
    ['half a transport', { udp: { readFrom: () => undefined } }],
    ['no handler', { handleRx: undefined }],
  ])('with %s is refused', (_, wrong) => {
    const given = { udp: new FakeUDP(), handleRx: () => undefined, ...wrong };
    expect(() => new Receiver(given as unknown as ReceiverOptions)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
  });
});
