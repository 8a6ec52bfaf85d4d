/**
 * The program that is measured: one manager on one host. It obeys lines of JSON, `[id, method, argument]`, and answers
 * `{ id, result }` or `{ id, error }`.
 */
import { createInterface } from 'node:readline';

import {
  Manager,
  MemoryRoutes,
  monotonicNow,
  NetlinkRoutes,
  type Registration,
  type RouteOperation,
  type Transition,
} from '../ts/index.js';
import type { EndpointMethods, Registering, Sample } from './endpoint-methods.js';
import { grid } from './grid.js';

let manager: Manager;
let transitions = { toDown: 0, fromUp: 0 };
let silences: number[] = [];
let operations: { op: string; ok: boolean; duration: number; at: number }[] = [];
let lastDownAt = 0;

function heardTransition({ to, from, silence, at }: Transition): void {
  if (to === 'down' && from !== 'admin_down') transitions.toDown += 1;
  if (from === 'up') transitions.fromUp += 1;
  if (silence !== undefined) silences.push(silence);
  lastDownAt = at.getTime();
}

function heardOperation({ op, ok, duration }: RouteOperation): void {
  operations.push({ op, ok, duration, at: monotonicNow() });
}

function registrations({ side, gridSize, from, count, iface, table, port, shared, backup }: Registering): Registration[] {
  const list = grid(side, gridSize).slice(from, from + count);
  const first = list[0];
  return list.map((session) => {
    const { localIP, peerIP } = shared === true && first !== undefined ? first : session;
    const route = { table, dst: session.dst, src: localIP, nextHop: gatewayOf(side), protocol: 186 };
    const more = backup === true ? { backup: { nextHop: '10.201.0.77', iface } } : {};
    return { route, iface, peerIP, ...more, ...(port === undefined ? {} : { port }) };
  });
}

/** The other end of the link: all of the other side's addresses lie behind it. */
function gatewayOf(side: number): string {
  return side === 1 ? '10.201.0.2' : '10.201.0.1';
}

function sample(): Sample {
  const stats = manager.stats();
  const total = { tx: 0, rx: 0, up: 0, extensions: 0, timeouts: 0, localTimeouts: 0, localRemoteDowns: 0, leftUp: 0, writeErrors: 0 };
  for (const endpoint of stats.endpoints) {
    total.tx += endpoint.tx;
    total.rx += endpoint.rx;
    total.up += endpoint.sessions.up;
    total.extensions += endpoint.extensions;
    total.timeouts += endpoint.timeouts;
    total.localTimeouts += endpoint.localTimeouts;
    total.localRemoteDowns += endpoint.localRemoteDowns;
    for (const { from, to, count } of endpoint.transitions) if (from === 'up' && to === 'down') total.leftUp += count;
    total.writeErrors += endpoint.writeErrors;
  }
  const { user, system } = process.cpuUsage();
  const { turns, socketDrops, worstTurnDelay, turnDelays, transmitDelays } = stats;
  return {
    ...total,
    cpuUs: user + system,
    nowUs: monotonicNow() * 1_000,
    turns,
    socketDrops,
    worstTurnDelay,
    turnDelays,
    transmitDelays,
  };
}

const methods: EndpointMethods = {
  async start({ routes, config }) {
    const netlinker = routes === 'memory' ? new MemoryRoutes() : new NetlinkRoutes({ nextHopObjects: routes === 'objects' });
    manager = await Manager.start({ ...config, netlinker });
    manager.on('transition', heardTransition);
    manager.on('route', heardOperation);
    return manager.engine;
  },
  async register(what) {
    const list = registrations(what);
    const began = monotonicNow();
    await manager.registerRoutes(list);
    const accepted = monotonicNow() - began;
    if (what.waitForTx !== true) return { accepted, sent: 0 };
    while (sample().tx < what.count) await new Promise((resolve) => setTimeout(resolve, 5));
    return { accepted, sent: monotonicNow() - began };
  },
  async withdraw(what) {
    const began = monotonicNow();
    await manager.withdrawRoutes(registrations(what));
    return monotonicNow() - began;
  },
  async watch(peers) {
    for (const peer of peers) await manager.registerSession(peer);
  },
  sample: () => sample(),
  /** Spins: no timer, no event, no promise gets its turn. */
  block(milliseconds) {
    const until = monotonicNow() + milliseconds;
    while (monotonicNow() < until);
  },
  collectGarbage() {
    globalThis.gc?.();
  },
  holdings() {
    const { rss, heapTotal } = process.memoryUsage();
    return { residentBytes: rss, heapBytes: heapTotal };
  },
  takeTransitions() {
    const taken = { ...transitions, silences, lastDownAt };
    transitions = { toDown: 0, fromUp: 0 };
    silences = [];
    return taken;
  },
  takeOperations() {
    const taken = operations;
    operations = [];
    return taken;
  },
  resumed: () => manager.resumed,
  worstGap: () => Math.max(0, ...manager.getSessions().map(({ worstGap = 0 }) => worstGap)),
  async close() {
    await manager.close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [id, method, argument] = JSON.parse(line) as [number, keyof EndpointMethods, never];
  Promise.resolve()
    .then((): unknown => methods[method](argument))
    .then(
      (result) => print({ id, result }),
      (error: unknown) => print({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
}

function print(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
