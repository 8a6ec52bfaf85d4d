/**
 * `npm run bench:micro`, the JavaScript half: what the calls cost that cross into the addon, each for a thousand sessions
 * that nobody answers. Needs CAP_NET_ADMIN, as `NetlinkRoutes` does; no route is installed.
 */
import { Registry } from 'prom-client';
import { Bench } from 'tinybench';

import type { NativeEngineHandle } from '../ts/engine/native/binding.js';
import type { EngineOptions } from '../ts/engine/engine.js';
import { loadBinding } from '../ts/engine/native/load.js';
import { sessionRows } from '../ts/engine/native/rows.js';
import { Manager, type ManagerConfig, NetlinkRoutes, type Registration } from '../ts/index.js';

const SESSIONS = 1_000;
const LOCAL = '127.0.0.1';
/** Nobody listens there. */
const PEER_PORT = 9;

const config: ManagerConfig = {
  netlinker: new NetlinkRoutes(),
  engine: 'native',
  bindIP: LOCAL,
  port: 0,
  txMin: 1_000,
  rxMin: 1_000,
  detectMult: 3,
};

const peerOf = (index: number): string => `127.${1 + (index >> 8)}.${index & 255}.1`;
const registrations: Registration[] = Array.from({ length: SESSIONS }, (_, index) => {
  const route = { table: 100, dst: `10.9.${index >> 8}.${index & 255}/32`, src: LOCAL, nextHop: '10.0.0.2', protocol: 186 };
  return { route, iface: 'lo', peerIP: peerOf(index), port: PEER_PORT };
});

const bench = new Bench({ time: 1_000, warmupTime: 200, throws: true });
const registry = new Registry();
const manager = await Manager.start({ ...config, metricsRegistry: registry, enablePeerMetrics: true });
await manager.registerRoutes(registrations);
await addRegistration();
addReadings();
const drained = addDrain();
await bench.run();
for (const { name, result } of bench.tasks) {
  if (result.state !== 'completed') throw new Error(`${name}: ${result.state}`, { cause: result });
  const { p50, p99, samplesCount } = result.latency;
  const figures = `${(p50 * 1_000).toFixed(1).padStart(10)} µs, p99 ${(p99 * 1_000).toFixed(1)} µs, ${samplesCount} times`;
  console.log(`${name.padEnd(30)} ${figures}`);
}
await drained.close(false, false);
await manager.close();

/** A manager of its own: what is registered has to leave again. */
async function addRegistration(): Promise<void> {
  const other = await Manager.start(config);
  bench.add('register a batch', () => other.registerRoutes(registrations), {
    afterEach: () => other.withdrawRoutes(registrations),
    afterAll: (): void => {
      other.unref();
    },
  });
}

function addReadings(): void {
  const peer = { iface: 'lo', localIP: LOCAL, peerIP: peerOf(0) };
  bench.add('snapshots of all', () => manager.getSessions());
  bench.add('snapshot of one', () => manager.getSession(peer));
  bench.add('counters', () => manager.stats());
  bench.add('scrape, with series per peer', () => registry.metrics());
}

/** Below the manager, which drains by itself when the doorbell rings. */
function addDrain(): NativeEngineHandle {
  const engine = new (loadBinding().NativeEngine)(engineOptions(), () => undefined);
  const timers = { txMinUs: 1_000_000, rxMinUs: 1_000_000, detectMult: 3 };
  const specs = registrations.map((_, index) => {
    return { id: index + 1, iface: 'lo', localIP: LOCAL, peerIP: peerOf(index), peerPort: PEER_PORT, ...timers };
  });
  const { rows, interfaces, auths } = sessionRows(specs);
  engine.addSessions(rows, interfaces, auths);
  const ids = specs.map(({ id }) => id);
  let isDown = false;
  const change = (): void => {
    isDown = !isDown;
    engine.setAdminDown(ids, isDown);
    // The thread answers in its next turn, and has told of the one before by then.
    engine.stats();
    engine.stats();
  };
  const drain = (): void => {
    while (engine.drain().more);
  };
  bench.add('drain of an event of each', drain, { beforeEach: change });
  return engine;
}

function engineOptions(): EngineOptions {
  return {
    protocol: 'liveness',
    bindIPs: [LOCAL],
    port: 0,
    multihopPort: 0,
    minTxFloorUs: 50_000,
    maxTxCeilUs: 1_000_000,
    backoffMaxUs: 1_000_000,
    maxSessions: SESSIONS,
    passive: false,
    clientVersion: undefined,
    honorPeerAdvertisedPassive: false,
    requireDiscriminator: false,
    filterRepeats: false,
    minTtl: undefined,
    takeOver: false,
    massDown: undefined,
    withdrawOnFatal: false,
    resume: undefined,
    realtime: undefined,
  };
}
