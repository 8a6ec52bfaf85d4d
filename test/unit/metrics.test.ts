/** What a scrape shows, on registries of prom-client's, over an engine whose counters a test sets. */
import fc from 'fast-check';
import { Counter, Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { CONVERGENCE_BOUNDS, HANDLE_RX_BOUNDS, DurationHistogram, TURN_DELAY_BOUNDS } from '../../ts/metrics/duration-histogram.js';
import type { EndpointRouteStats, EndpointStats } from '../../ts/engine/engine.js';
import { ConfigError, LABEL_IFACE, LABEL_LOCAL_IP, Metrics, type Route } from '../../ts/index.js';
import { type MetricsReading, showMetrics } from '../../ts/manager/metrics-feed.js';
import { NOTHING_INVALID, settle, startFake } from './fake-engine.js';

/** The series of a scrape by name and labels, and their values. */
async function scrape(registry: Registry): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

const HERE = { iface: 'eth0', localIP: '10.0.0.1' };

function endpoint(changes: Partial<EndpointStats> = {}): EndpointStats {
  return {
    ...HERE,
    sessions: { admin_down: 0, down: 1, init: 0, up: 2 },
    neverUp: 1,
    tx: 10,
    rx: 9,
    rxInvalid: { ...NOTHING_INVALID, short: 1 },
    unknownPeer: 4,
    writeErrors: 3,
    dropped: 0,
    timeouts: 3,
    localTimeouts: 1,
    remoteDowns: 7,
    localRemoteDowns: 2,
    extensions: 0,
    queued: 5,
    transitions: [{ from: 'up', to: 'down', cause: 'detect_timeout', count: 7 }],
    localDiagnostics: [],
    remoteDiagnostics: [],
    handleRx: new DurationHistogram(HANDLE_RX_BOUNDS).stats(),
    ...changes,
  };
}

function routeStats(changes: Partial<EndpointRouteStats> = {}): EndpointRouteStats {
  const histogram = new DurationHistogram(CONVERGENCE_BOUNDS);
  for (const seconds of [0.0005, 0.2, 100]) histogram.observe(seconds);
  const empty = new DurationHistogram(CONVERGENCE_BOUNDS).stats();
  return {
    ...HERE,
    installed: 2,
    adds: 3,
    addFailures: 1,
    deletes: 1,
    deleteFailures: 0,
    restored: 3,
    restoresDelayed: 2,
    convergenceToUp: histogram.stats(),
    convergenceToDown: empty,
    ...changes,
  };
}

function reading(changes: Partial<MetricsReading> = {}): MetricsReading {
  return {
    endpoints: [endpoint()],
    routes: [routeStats()],
    counted: [{ ...HERE, desired: 3, retrying: 1, held: 2, suppressed: 5, onPrimary: 4, onBackup: 6, onNone: 7 }],
    builds: [{ version: '1.2.3', engine: 'native', protocol: 'bfd' }],
    turnDelay: { bounds: TURN_DELAY_BOUNDS, counts: [9, 0, 0, 0, 0, 0, 0, 0, 1], sum: 2.5 },
    worstTurnDelay: 2.25,
    socketDrops: 8,
    repeatsFiltered: 9,
    queueLength: 5,
    sendBufferBytes: 4_096,
    sendBufferFull: 6,
    readErrors: { '0.0.0.0': 2 },
    peers: [],
    ...changes,
  };
}

describe('a scrape', () => {
  it('has every metric of the reference with its labels', async () => {
    const registry = new Registry();
    const peer = { ...HERE, peerIP: '10.0.0.2' };
    showMetrics(registry, 'liveness_', () =>
      reading({ peers: [{ peer, state: 'up', detectTime: 0.15, mode: 'passive', version: '1.2.3' }] }),
    );
    const series = await scrape(registry);
    const at = 'iface="eth0",local_ip="10.0.0.1"';
    expect(Object.fromEntries(series)).toMatchObject({
      [`liveness_sessions{${at},state="up"}`]: 2,
      [`liveness_session_transitions_total{${at},state_from="up",state_to="down",reason="detect_timeout"}`]: 7,
      [`liveness_routes_installed{${at}}`]: 2,
      [`liveness_route_installs_total{${at}}`]: 3,
      [`liveness_route_withdraws_total{${at}}`]: 1,
      [`liveness_route_restores_total{${at}}`]: 3,
      [`liveness_route_restores_delayed_total{${at}}`]: 2,
      [`liveness_route_install_failures_total{${at}}`]: 1,
      [`liveness_route_uninstall_failures_total{${at}}`]: 0,
      [`liveness_scheduler_service_queue_len{${at}}`]: 5,
      [`liveness_scheduler_events_dropped_total{${at}}`]: 0,
      liveness_scheduler_total_queue_len: 5,
      [`liveness_control_packets_tx_total{${at}}`]: 10,
      // Of sessions' peers, and of others.
      [`liveness_control_packets_rx_total{${at}}`]: 13,
      [`liveness_control_packets_rx_invalid_total{${at},reason="short"}`]: 1,
      [`liveness_unknown_peer_packets_total{${at}}`]: 4,
      [`liveness_read_socket_errors_total{iface="",local_ip="0.0.0.0",operation="read_from"}`]: 2,
      [`liveness_write_socket_errors_total{${at},operation="write_to"}`]: 3,
      liveness_send_buffer_bytes: 4_096,
      liveness_send_buffer_full_total: 6,
      [`liveness_peer_sessions{${at},peer_ip="10.0.0.2",state="up"}`]: 1,
      [`liveness_peer_session_detect_time_seconds{${at},peer_ip="10.0.0.2"}`]: 0.15,
      [`liveness_convergence_to_up_seconds_count{${at}}`]: 3,
      [`liveness_convergence_to_down_seconds_count{${at}}`]: 0,
      [`liveness_handle_rx_duration_seconds_count{${at}}`]: 0,
    });
    expect(registry.getMetricsAsArray()).toHaveLength(40);
  });

  it('tells timeouts by whose fault they may be, sessions that were never Up, retries, holds, and how late this host was', async () => {
    const registry = new Registry();
    showMetrics(registry, 'liveness_', () => reading());
    const open = showMetrics(registry, 'liveness_', () => reading());
    const at = 'iface="eth0",local_ip="10.0.0.1"';
    expect(Object.fromEntries(await scrape(registry))).toMatchObject({
      [`liveness_build_info{version="1.2.3",engine="native",protocol="bfd"}`]: 2,
      [`liveness_session_timeouts_total{${at},cause="peer"}`]: 4,
      [`liveness_session_timeouts_total{${at},cause="local"}`]: 2,
      [`liveness_session_remote_downs_total{${at},cause="peer"}`]: 10,
      [`liveness_session_remote_downs_total{${at},cause="local"}`]: 4,
      [`liveness_sessions_never_up{${at}}`]: 2,
      [`liveness_routes_retrying{${at}}`]: 2,
      [`liveness_routes_held{${at}}`]: 4,
      [`liveness_routes_suppressed{${at}}`]: 10,
      [`liveness_route_legs{${at},leg="primary"}`]: 8,
      [`liveness_route_legs{${at},leg="backup"}`]: 12,
      [`liveness_route_legs{${at},leg="none"}`]: 14,
      [`liveness_turn_delay_seconds_bucket{le="0.000128"}`]: 18,
      [`liveness_turn_delay_seconds_bucket{le="+Inf"}`]: 20,
      liveness_turn_delay_seconds_sum: 5,
      liveness_worst_turn_delay_seconds: 2.25,
      liveness_socket_drops_total: 16,
      liveness_filtered_repeats_total: 18,
    });
    open(reading());
    expect(Object.fromEntries(await scrape(registry)), 'of a closed manager the counters stay, the rest is gone').toMatchObject({
      [`liveness_build_info{version="1.2.3",engine="native",protocol="bfd"}`]: 1,
      [`liveness_session_timeouts_total{${at},cause="peer"}`]: 4,
      [`liveness_sessions_never_up{${at}}`]: 1,
      [`liveness_routes_retrying{${at}}`]: 1,
      [`liveness_routes_suppressed{${at}}`]: 5,
      [`liveness_route_legs{${at},leg="backup"}`]: 6,
      liveness_turn_delay_seconds_count: 20,
      liveness_socket_drops_total: 16,
      liveness_filtered_repeats_total: 18,
    });
  });

  it('has the desired routes beside the installed ones, and the mode and version of each peer', async () => {
    const registry = new Registry();
    const peer = { ...HERE, peerIP: '10.0.0.2' };
    const silent = { ...HERE, peerIP: '10.0.0.3' };
    const peers = [
      { peer, state: 'up', detectTime: 0.15, mode: 'passive', version: '1.2.3' },
      { peer: silent, state: 'down', detectTime: 0.15, mode: undefined, version: undefined },
    ] as const;
    showMetrics(registry, 'liveness_', () => reading({ peers }));
    const series = await scrape(registry);
    const at = 'iface="eth0",local_ip="10.0.0.1"';
    expect(Object.fromEntries(series)).toMatchObject({
      [`liveness_routes_desired{${at}}`]: 3,
      [`liveness_routes_installed{${at}}`]: 2,
      [`liveness_peer_info{${at},peer_ip="10.0.0.2",mode="passive",version="1.2.3"}`]: 1,
      [`liveness_peer_info{${at},peer_ip="10.0.0.3",mode="",version=""}`]: 1,
    });
  });

  it('counts as desired the routes of sessions that are Up and in service; in passive mode all registered routes', async () => {
    for (const passiveMode of [false, true]) {
      const registry = new Registry();
      const { manager, engine } = await startFake({ metricsRegistry: registry, passiveMode });
      const route = (number: number): Route => ({
        table: 254,
        dst: `10.9.0.${number}/32`,
        src: '10.0.0.1',
        nextHop: '10.0.0.2',
        protocol: 186,
      });
      for (const number of [1, 2, 3]) await manager.registerRoute(route(number), 'eth0');
      const desired = async (): Promise<number | undefined> =>
        (await scrape(registry)).get('liveness_routes_desired{iface="eth0",local_ip="10.0.0.1"}');
      expect(await desired()).toBe(passiveMode ? 3 : 0);
      engine.become('10.9.0.1', 'up');
      engine.become('10.9.0.2', 'up');
      expect(await desired()).toBe(passiveMode ? 3 : 2);
      await manager.adminDownRoute(route(1), 'eth0');
      expect(await desired()).toBe(passiveMode ? 3 : 1);
      await manager.withdrawRoute(route(2), 'eth0');
      expect(await desired()).toBe(passiveMode ? 2 : 0);
      await manager.close();
      expect(await desired()).toBe(0);
    }
  });

  it('has the Downs of BFD by their diagnostics, added over managers, and none of those that never happened', async () => {
    const registry = new Registry();
    const diagnostics = { localDiagnostics: [0, 4, 0, 2], remoteDiagnostics: [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 3] };
    showMetrics(registry, 'liveness_', () => reading({ endpoints: [endpoint(diagnostics)] }));
    const series = async (): Promise<[string, number][]> =>
      [...(await scrape(registry))].filter(([name]) => name.startsWith('liveness_session_diagnostics_total'));
    const at = (direction: string, diagnostic: string): string =>
      `liveness_session_diagnostics_total{iface="eth0",local_ip="10.0.0.1",direction="${direction}",diagnostic="${diagnostic}"}`;
    expect(await series()).toEqual([
      [at('sent', 'detection_time_expired'), 4],
      [at('sent', 'neighbour_signalled_down'), 2],
      [at('received', 'administratively_down'), 1],
      [at('received', 'unknown(12)'), 3],
    ]);
    const end = showMetrics(registry, 'liveness_', () => reading({ endpoints: [endpoint({ localDiagnostics: [1, 1] })] }));
    expect(Object.fromEntries(await series())).toMatchObject({ [at('sent', 'none')]: 1, [at('sent', 'detection_time_expired')]: 5 });
    end(reading({ endpoints: [endpoint({ localDiagnostics: [1, 2] })] }));
    expect(Object.fromEntries(await series())).toMatchObject({ [at('sent', 'detection_time_expired')]: 6 });
  });

  it('has no diagnostics in the liveness protocol', async () => {
    const registry = new Registry();
    showMetrics(registry, 'liveness_', reading);
    expect([...(await scrape(registry)).keys()].filter((name) => name.includes('diagnostics'))).toEqual([]);
  });

  it('has every reason for which a packet of either protocol is dropped', async () => {
    const registry = new Registry();
    const rxInvalid = Object.fromEntries(Object.keys(NOTHING_INVALID).map((reason, index) => [reason, index + 1]));
    showMetrics(registry, 'liveness_', () => reading({ endpoints: [endpoint({ rxInvalid: rxInvalid as typeof NOTHING_INVALID })] }));
    const series = await scrape(registry);
    const name = 'liveness_control_packets_rx_invalid_total{iface="eth0",local_ip="10.0.0.1",reason=';
    expect(Object.entries(rxInvalid).map(([reason, count]) => [reason, series.get(`${name}"${reason}"}`) === count])).toEqual(
      Object.keys(rxInvalid).map((reason) => [reason, true]),
    );
    expect([...series.keys()].filter((key) => key.startsWith(name))).toHaveLength(15);
  });

  it('has cumulative histogram buckets up to infinity', async () => {
    const registry = new Registry();
    showMetrics(registry, 'liveness_', reading);
    const series = await scrape(registry);
    const bucket = (le: string): number | undefined =>
      series.get(`liveness_convergence_to_up_seconds_bucket{iface="eth0",local_ip="10.0.0.1",le="${le}"}`);
    expect([bucket('0.001'), bucket('0.1'), bucket('0.25'), bucket('60'), bucket('+Inf')]).toEqual([1, 1, 2, 2, 3]);
    expect(series.get('liveness_convergence_to_up_seconds_sum{iface="eth0",local_ip="10.0.0.1"}')).toBeCloseTo(100.2005);
  });

  it('reads each manager once for all metrics', async () => {
    const registry = new Registry();
    let reads = 0;
    showMetrics(registry, 'liveness_', () => {
      reads += 1;
      return reading({ queueLength: reads });
    });
    await registry.metrics();
    const series = await scrape(registry);
    expect([reads, series.get('liveness_scheduler_total_queue_len')]).toEqual([2, 2]);
  });

  it('is valid in the OpenMetrics format, twice in a row', async () => {
    const registry = new Registry();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
    showMetrics(registry, 'liveness_', reading);
    for (const text of [await registry.metrics(), await registry.metrics()]) {
      expect(text).toContain('liveness_control_packets_tx_total{iface="eth0",local_ip="10.0.0.1"} 10\n');
      expect(text).not.toContain('_total_total');
      expect(text).toMatch(/# EOF\n$/);
    }
  });

  it('adds managers with the same registry and prefix, and keeps the counters of closed ones', async () => {
    const registry = new Registry();
    const endFirst = showMetrics(registry, 'liveness_', reading);
    showMetrics(registry, 'liveness_', () => reading({ routes: [] }));
    const labels = '{iface="eth0",local_ip="10.0.0.1"}';
    const before = await scrape(registry);
    expect(before.get(`liveness_control_packets_tx_total${labels}`)).toBe(20);
    expect(before.get('liveness_scheduler_total_queue_len')).toBe(10);

    endFirst(reading({ endpoints: [endpoint({ tx: 12 })] }));
    const after = await scrape(registry);
    expect(after.get(`liveness_control_packets_tx_total${labels}`)).toBe(22);
    expect(after.get(`liveness_route_installs_total${labels}`)).toBe(3);
    expect(after.get(`liveness_routes_installed${labels}`)).toBe(0);
    expect(after.get('liveness_sessions{iface="eth0",local_ip="10.0.0.1",state="up"}')).toBe(2);
    expect(after.get('liveness_scheduler_total_queue_len')).toBe(5);
  });

  it('separates managers with another prefix, and managers on a cleared registry', async () => {
    const registry = new Registry();
    showMetrics(registry, 'liveness_', reading);
    showMetrics(registry, 'doublezero_liveness_', reading);
    const labels = '{iface="eth0",local_ip="10.0.0.1"}';
    expect((await scrape(registry)).get(`doublezero_liveness_control_packets_tx_total${labels}`)).toBe(10);
    registry.clear();
    showMetrics(registry, 'liveness_', reading);
    expect((await scrape(registry)).get(`liveness_control_packets_tx_total${labels}`)).toBe(10);
  });

  it('with a metric name that the user has taken is refused at the start', async () => {
    const registry = new Registry();
    new Counter({ name: 'liveness_route_installs_total', help: 'mine', registers: [registry] });
    const refused = startFake({ metricsRegistry: registry });
    await expect(refused).rejects.toBeInstanceOf(ConfigError);
    await expect(refused).rejects.toThrow(/liveness_route_installs_total/);
    expect(registry.getMetricsAsArray()).toHaveLength(1);
  });
});

describe('the metrics of the building blocks', () => {
  it('are plain metrics of prom-client on the given registry', async () => {
    const registry = new Registry();
    const metrics = new Metrics({ prefix: 'mine_' }).register(registry);
    metrics.controlPacketsTX.inc({ [LABEL_IFACE]: 'eth0', [LABEL_LOCAL_IP]: '10.0.0.1' }, 3);
    metrics.handleRxDuration.observe({ [LABEL_IFACE]: 'eth0', [LABEL_LOCAL_IP]: '10.0.0.1' }, 0.002);
    const series = await scrape(registry);
    expect(series.get('mine_control_packets_tx_total{iface="eth0",local_ip="10.0.0.1"}')).toBe(3);
    expect(series.get('mine_handle_rx_duration_seconds_bucket{le="0.01",iface="eth0",local_ip="10.0.0.1"}')).toBe(1);
  });

  it('are registered all or none', () => {
    const registry = new Registry();
    new Counter({ name: 'liveness_read_socket_errors_total', help: 'mine', registers: [registry] });
    expect(() => new Metrics().register(registry)).toThrow(/already been registered/);
    expect(registry.getMetricsAsArray()).toHaveLength(1);
  });
});

const STEPS = fc.array(fc.constantFrom('up', 'down', 'init', 'withdraw', 'register', 'admin_down', 'admin_up'), { maxLength: 40 });

it('have a gauge of installed routes that equals installs less withdrawals in any sequence of transitions', async () => {
  await fc.assert(
    fc.asyncProperty(STEPS, async (steps) => {
      const registry = new Registry();
      const { manager, engine, routes } = await startFake({ metricsRegistry: registry });
      const route: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
      let registered = false;
      for (const step of steps) {
        if (step === 'register') await manager.registerRoute(route, 'eth0');
        else if (step === 'withdraw') await manager.withdrawRoute(route, 'eth0');
        else if (!registered) continue;
        else if (step === 'admin_down') await manager.adminDownRoute(route, 'eth0');
        else if (step === 'admin_up') await manager.adminUpRoute(route, 'eth0');
        else engine.become('10.9.0.2', step);
        registered = manager.getSessions().length > 0;
        await settle();
        const series = await scrape(registry);
        const value = (name: string): number => series.get(`liveness_${name}{iface="eth0",local_ip="10.0.0.1"}`) ?? 0;
        const installed = routes.routeByProtocol(186).length;
        expect(value('routes_installed')).toBe(installed);
        expect(value('route_installs_total') - value('route_withdraws_total')).toBe(installed);
      }
      await manager.close();
    }),
    { numRuns: 50 },
  );
});

describe('without prom-client', () => {
  beforeEach(() => {
    vi.resetModules();
    const missing = Object.assign(new Error("Cannot find module 'prom-client'\nRequire stack:"), { code: 'MODULE_NOT_FOUND' });
    vi.doMock('../../ts/base/optional-packages.cjs', async (original) => ({
      default: { ...(await original<{ default: object }>()).default, requirePromClient: () => ({ error: missing }) },
    }));
  });
  afterEach(() => {
    vi.doUnmock('../../ts/base/optional-packages.cjs');
    vi.resetModules();
  });

  const refused: unknown = expect.objectContaining({
    code: 'ERR_METRICS_UNAVAILABLE',
    message: expect.stringMatching(/npm install prom-client/) as string,
    cause: expect.objectContaining({ code: 'MODULE_NOT_FOUND' }) as Error,
  });

  it('`metricsRegistry` and `new Metrics()` throw ERR_METRICS_UNAVAILABLE', async () => {
    const { Manager, MemoryRoutes, Metrics } = await import('../../ts/index.js');
    const config = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port: 0, txMin: 50, rxMin: 50, detectMult: 3 };
    await expect(Manager.start({ ...config, metricsRegistry: new Registry() })).rejects.toThrow(refused);
    expect(() => new Metrics()).toThrow(refused);
  });

  it('a manager without metrics starts', async () => {
    const { Manager, MemoryRoutes } = await import('../../ts/index.js');
    const config = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port: 0, txMin: 50, rxMin: 50, detectMult: 3 };
    const manager = await Manager.start(config);
    await manager.close();
  });
});
