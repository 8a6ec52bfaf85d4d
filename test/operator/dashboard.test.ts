/** The dashboard's queries and the alerts, through a real Prometheus, on an agent that went through all that can happen to one. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { run } from '../netns/command.js';
import { describeLab } from '../netns/lab.js';
import { type Daemon, OperatorLab } from './daemons.js';
import { Prometheus } from './prometheus.js';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(readFileSync(at('examples/dashboard.json'), 'utf8')) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[] };
};

const queries = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));

/** Garbage of every length below a packet's, and packets of nobody, from any address of host two. */
const FLOOD = `
  const [to, ...from] = process.argv.slice(1);
  for (const address of from) {
    const socket = require('node:dgram').createSocket('udp4');
    socket.bind(0, address, async () => {
      for (let length = 1; length < 60; length += 1) {
        await new Promise((resolve) => socket.send(Buffer.alloc(length, 0x20), 44880, to, resolve));
      }
      socket.close();
    });
  }
`;

const SCOPE = ['iface', 'local_ip'];
const PEER = [...SCOPE, 'peer_ip'];

/** Every metric with the names of its labels. Prometheus leaves out a label that is empty. */
const LABELS: Readonly<Record<string, readonly string[]>> = {
  sessions: [...SCOPE, 'state'],
  session_transitions_total: [...SCOPE, 'reason', 'state_from', 'state_to'],
  routes_installed: SCOPE,
  route_installs_total: SCOPE,
  route_withdraws_total: SCOPE,
  route_install_failures_total: SCOPE,
  route_uninstall_failures_total: SCOPE,
  convergence_to_up_seconds: SCOPE,
  convergence_to_down_seconds: SCOPE,
  scheduler_service_queue_len: SCOPE,
  scheduler_total_queue_len: [],
  scheduler_events_dropped_total: SCOPE,
  handle_rx_duration_seconds: SCOPE,
  control_packets_tx_total: SCOPE,
  control_packets_rx_total: SCOPE,
  control_packets_rx_invalid_total: [...SCOPE, 'reason'],
  unknown_peer_packets_total: SCOPE,
  read_socket_errors_total: ['local_ip', 'operation'],
  write_socket_errors_total: [...SCOPE, 'operation'],
  peer_sessions: [...PEER, 'state'],
  peer_session_detect_time_seconds: PEER,
  routes_desired: SCOPE,
  peer_info: ['iface', 'local_ip', 'mode', 'peer_ip', 'version'],
  session_diagnostics_total: ['diagnostic', 'direction', 'iface', 'local_ip'],
  route_restores_total: SCOPE,
  route_restores_delayed_total: SCOPE,
  session_timeouts_total: ['cause', ...SCOPE],
  session_remote_downs_total: ['cause', ...SCOPE],
  sessions_never_up: SCOPE,
  routes_retrying: SCOPE,
  routes_held: SCOPE,
  routes_suppressed: SCOPE,
  route_legs: ['iface', 'leg', 'local_ip'],
  turn_delay_seconds: [],
  worst_turn_delay_seconds: [],
  socket_drops_total: [],
  filtered_repeats_total: [],
  build_info: ['engine', 'protocol', 'version'],
  send_buffer_bytes: [],
  send_buffer_full_total: [],
};

/** As Grafana does before it asks. */
function filledIn(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$job', 'route-liveness')
    .replaceAll(/\$(instance|iface)/g, '.*');
}

describeLab('Prometheus, on an agent that saw everything', ['nft', 'prometheus'], () => {
  let lab: OperatorLab;
  let agent: Daemon;
  let prometheus: Prometheus;

  beforeAll(async () => {
    lab = new OperatorLab(6);
    const [first = '', second = '', third = '', fourth = ''] = lab.peers;
    const { one, two } = lab.lab;
    const route = (dst: string, peer: string): object => ({ iface: one.iface, dst, src: one.address, nextHop: peer, peerIP: peer });
    const bfd = { name: 'core', protocol: 'bfd' };
    // Somebody else has the slot of a route.
    lab.lab.route(one, 'add', '10.9.0.200/32', 'via', two.address, 'proto', 'static');
    lab.answerer({
      manager: { clientVersion: '1.2.3' },
      others: [{ ...bfd, bindIP: two.address, sessions: [{ iface: two.iface, localIP: two.address, peerIP: one.address }] }],
    });
    agent = lab.watcher({
      metrics: { peers: true },
      extra: [route('10.9.0.200/32', first), route('10.9.0.99/32', '10.201.0.99')],
      others: [{ ...bfd, bindIP: one.address, routes: [route('10.9.1.1/32', two.address)] }],
    });
    const is = (peer: string, state: string): Promise<unknown> =>
      agent.until((sessions) => sessions.some((it) => it.peer_ip === peer && it.liveness_status === state));
    for (const peer of [...lab.peers, two.address]) await is(peer, 'up');
    prometheus = await Prometheus.start(await lab.gate(agent), at('examples/alerts.yaml'));
    await prometheus.until(
      () => prometheus.query('up{job="route-liveness"}'),
      (samples) => samples[0]?.value[1] === '1',
    );

    lab.cut(second);
    await is(second, 'down');
    lab.heal(second);
    await is(second, 'up');
    await agent.post('/hold', { manager: 'fabric', peer_ip: third, seconds: 600 });
    lab.cut(third);
    await is(third, 'down');
    await agent.post('/admin-down', {
      manager: 'fabric',
      iface: one.iface,
      dst: '10.9.0.4/32',
      src: one.address,
      next_hop: fourth,
      peer_ip: fourth,
    });
    await is(fourth, 'admin_down');
    run('ip', ['netns', 'exec', two.name, process.execPath, '-e', FLOOD, one.address, first, two.address]);
    lab.cutBfd();
    await is(two.address, 'down');
    lab.cut(second);
    await is(second, 'down');
    // A longer stop than any detection time: what times out then may be our own fault.
    agent.signal('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    agent.signal('SIGCONT');
  }, 120_000);

  afterAll(async () => {
    await prometheus.close();
    await lab.close();
  });

  it.each(queries)('$title: $expr', async ({ expr }) => {
    const samples = await prometheus.until(
      () => prometheus.query(filledIn(expr)),
      (found) => found.length > 0,
    );
    expect(samples.length).toBeGreaterThan(0);
  });

  it('has every metric that is documented, with its labels, and no other', async () => {
    const seen = await prometheus.until(labelsByMetric, (found) => found.size >= Object.keys(LABELS).length);
    expect(Object.fromEntries([...seen].toSorted())).toEqual(Object.fromEntries(Object.entries(LABELS).toSorted()));
    const tables = readFileSync(at('docs/metrics.md'), 'utf8').matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm);
    const documented = [...tables].flatMap((match) => match[1]?.match(/\w+/g) ?? []);
    expect(documented.toSorted()).toEqual(Object.keys(LABELS).toSorted());
  });

  it('fires the alert for the route that cannot be installed', async () => {
    const [alert] = await prometheus.until(
      async () => (await prometheus.alerts()).filter(({ labels }) => labels['alertname'] === 'LivenessRouteNotInstalled'),
      ([first]) => first?.state === 'firing',
    );
    expect(alert?.annotations['summary']).toMatch(/^A route on v1 of 127\.0\.0\.1:\d+ could not be installed$/);
  });

  /** The names of the labels of each metric, those that Prometheus adds left out. */
  const labelsByMetric = async (): Promise<Map<string, string[]>> => {
    const found = new Map<string, Set<string>>();
    for (const { metric } of await prometheus.query('{__name__=~"liveness_.+"}')) {
      const name = (metric['__name__'] ?? '').replace('liveness_', '').replace(/_(bucket|count|sum)$/, '');
      const labels = found.get(name) ?? new Set();
      for (const label of Object.keys(metric)) if (!['__name__', 'job', 'instance', 'le'].includes(label)) labels.add(label);
      found.set(name, labels);
    }
    return new Map([...found].map(([name, labels]) => [name, [...labels].toSorted()]));
  };
});
