/** A real Prometheus scrapes real managers, through everything that a session and a route can go through. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Manager, MemoryRoutes, type Route } from '../../ts/index.js';
import { ControlPacket } from '../../ts/protocol.js';
import { describeWhere, lacking } from '../netns/needs.js';
import { Prometheus, type Sample } from '../operator/prometheus.js';

const SCOPE = { iface: 'lo', local_ip: '127.0.6.1' };
const ROUTE: Route = { table: 254, dst: '127.0.6.2/32', src: '127.0.6.1', nextHop: '127.0.6.2', protocol: 186 };
const BACK: Route = { ...ROUTE, dst: '127.0.6.1/32', src: '127.0.6.2', nextHop: '127.0.6.1' };

/** A backend whose first attempts fail. */
class Reluctant extends MemoryRoutes {
  refusals = { add: 1, delete: 1 };

  override routeAdd(route: Route): void {
    if (this.refusals.add-- > 0) throw new Error('not yet');
    super.routeAdd(route);
  }

  override routeDelete(route: Route): void {
    if (this.refusals.delete-- > 0) throw new Error('not yet');
    super.routeDelete(route);
  }
}

/** Garbage, a packet of an unknown peer and a forged one. */
async function flood(port: number): Promise<void> {
  const packet = {
    version: 1,
    state: 'up',
    detectMult: 3,
    localDiscr: 7,
    peerDiscr: 1,
    desiredMinTxUs: 50_000,
    requiredMinRxUs: 50_000,
  } as const;
  const valid = Buffer.from(new ControlPacket(packet).marshal());
  const changed = (at: number, value: number): Buffer => Buffer.from(valid).fill(value, at, at + 1);
  const kinds = [
    Buffer.alloc(10),
    changed(0, 0x40),
    changed(3, 24),
    changed(2, 0),
    Buffer.from(valid).fill(0, 4, 8),
    Buffer.from(valid).fill(0xff, 12, 16),
    valid,
  ];
  for (const from of ['127.0.6.2', '127.0.6.9']) {
    const socket = createSocket('udp4').bind(0, from);
    await once(socket, 'listening');
    for (const bytes of kinds) await new Promise((resolve) => socket.send(bytes, port, '127.0.6.1', resolve));
    socket.close();
  }
}

for (const engine of ['native', 'js'] as const) {
  describeWhere(`Prometheus, scraping the ${engine} engine`, lacking(['prometheus']), () => {
    let registry: Registry;
    let server: Server;
    let prometheus: Prometheus;
    const open: Manager[] = [];

    beforeEach(async () => {
      registry = new Registry();
      server = createServer((_, response) => {
        void registry.metrics().then((text) => response.setHeader('Content-Type', registry.contentType).end(text));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      prometheus = await Prometheus.start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    });

    afterEach(async () => {
      await Promise.all(open.splice(0).map((manager) => manager.close()));
      server.close();
      await prometheus.close();
    });

    const start = async (bindIP: string, config: Record<string, unknown> = {}): Promise<Manager> => {
      const manager = await Manager.start({
        netlinker: new MemoryRoutes(),
        bindIP,
        port: 44886,
        txMin: 50,
        rxMin: 50,
        detectMult: 3,
        engine,
        ...config,
      });
      open.push(manager);
      return manager;
    };
    const until = (query: string, fits: (samples: readonly Sample[]) => boolean): Promise<readonly Sample[]> =>
      prometheus.until(() => prometheus.query(query), fits);
    const value = (samples: readonly Sample[], labels: Record<string, string> = {}): number | undefined => {
      const found = samples.find(({ metric }) => Object.entries(labels).every(([name, expected]) => metric[name] === expected));
      return found && Number(found.value[1]);
    };
    const reaches = (metric: string, least: number, labels: Record<string, string> = {}): Promise<readonly Sample[]> =>
      until(`liveness_${metric}`, (samples) => (value(samples, { ...SCOPE, ...labels }) ?? -1) >= least);
    const is = (metric: string, wanted: number, labels: Record<string, string> = {}): Promise<readonly Sample[]> =>
      until(`liveness_${metric}`, (samples) => value(samples, labels) === wanted);

    it('Prometheus scrapes every metric through Up, a failing backend, a flood, Down, AdminDown and the end', async () => {
      const here = await start('127.0.6.1', { netlinker: new Reluctant(), metricsRegistry: registry, enablePeerMetrics: true });
      const there = await start('127.0.6.2');
      await here.registerRoute(ROUTE, 'lo', { port: 44886 });
      await there.registerRoute(BACK, 'lo', { port: 44886 });

      const peer = { ...SCOPE, peer_ip: '127.0.6.2' };
      await is('sessions', 1, { ...SCOPE, state: 'up' });
      await is('peer_sessions', 1, { ...peer, state: 'up' });
      await is('peer_session_detect_time_seconds', 0.15, peer);
      await is('routes_desired', 1, SCOPE);
      await is('routes_installed', 1, SCOPE);
      await is('peer_info', 1, { ...peer, mode: 'active' });
      await is('route_install_failures_total', 1, SCOPE);
      await is('route_installs_total', 1, SCOPE);
      await is('convergence_to_up_seconds_count', 1, SCOPE);
      await is('scheduler_service_queue_len', 2, SCOPE);
      await is('scheduler_total_queue_len', 2);
      await reaches('control_packets_tx_total', 10);
      await reaches('control_packets_rx_total', 10);
      await reaches('handle_rx_duration_seconds_count', 10);
      await reaches('session_transitions_total', 1, { state_from: 'new', state_to: 'down', reason: 'register_route' });
      await reaches('session_transitions_total', 1, { state_to: 'up', reason: 'handle_rx' });
      await is('scheduler_events_dropped_total', 0, SCOPE);
      await is('send_buffer_full_total', 0);
      await is('write_socket_errors_total', 0, { ...SCOPE, operation: 'write_to' });
      await is('read_socket_errors_total', 0, { local_ip: '127.0.6.1', operation: 'read_from' });

      await flood(44886);
      for (const reason of ['short', 'bad_version', 'bad_len', 'bad_detect_mult', 'bad_discr']) {
        await is('control_packets_rx_invalid_total', 2, { ...SCOPE, reason });
      }
      await is('control_packets_rx_invalid_total', 2, { ...SCOPE, reason: 'foreign_discr' });
      await is('unknown_peer_packets_total', 2, SCOPE);
      expect(here.getSessions()).toMatchObject([{ state: 'up' }]);

      await there.close();
      await is('session_transitions_total', 1, { ...SCOPE, state_from: 'up', state_to: 'down', reason: 'detect_timeout' });
      await is('routes_installed', 0, SCOPE);
      await is('route_uninstall_failures_total', 1, SCOPE);
      await is('route_withdraws_total', 1, SCOPE);
      await is('convergence_to_down_seconds_count', 1, SCOPE);
      await is('peer_sessions', 1, { ...peer, state: 'down' });

      await here.adminDownRoute(ROUTE, 'lo');
      await is('sessions', 1, { ...SCOPE, state: 'admin_down' });
      await is('session_transitions_total', 1, { ...SCOPE, state_from: 'down', state_to: 'admin_down', reason: 'admin_down' });

      await here.withdrawRoute(ROUTE, 'lo');
      await until('liveness_peer_sessions', (samples) => samples.length === 0);
      for (const state of ['admin_down', 'down', 'init', 'up']) await is('sessions', 0, { ...SCOPE, state });
      await is('scheduler_total_queue_len', 0);

      await here.close();
      await pause(500);
      await is('route_installs_total', 1, SCOPE);
      await reaches('control_packets_tx_total', 10);
      const all = await until('{__name__=~"liveness_.*"}', (samples) => samples.length > 0);
      const names = new Set(all.map(({ metric }) => metric['__name__']?.replace(/_(bucket|sum|count)$/, '')));
      // The three per-peer metrics went with the session.
      expect([...names].sort()).toHaveLength(35);
      const ofTheManager =
        /^liveness_(scheduler_total_queue_len|send_buffer_|(worst_)?turn_delay_|socket_drops_|filtered_repeats_|build_info)/;
      for (const { metric } of all) {
        if (!ofTheManager.test(metric['__name__'] ?? '')) expect(metric).toHaveProperty('local_ip');
      }
    });
  });
}
