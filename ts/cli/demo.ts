/** `route-liveness demo`: a path between two hosts comes up, is cut, and heals. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

import { Manager, MemoryRoutes, NetlinkRoutes } from '../index.js';
import { createDemoNetwork, type DemoNetwork, type DemoHost } from './demo-network.js';
import { painterFor } from './paint.js';

const INTERVAL_MS = 50;
const DETECT_MULT = 3;
const DETECT_MS = INTERVAL_MS * DETECT_MULT;
const EVENT_TIMEOUT_MS = 5_000;

/** What an agent prints: one line of JSON for each event. */
interface AgentEvent {
  readonly kind: 'transition' | 'route';
  /** The wall clock in milliseconds. */
  readonly at: number;
  readonly text: string;
  /** The new state, or `add` and `delete`. */
  readonly what: string;
  /** For a Down: the time since the last packet arrived, in milliseconds. */
  readonly silence?: number;
}

const HELP = `route-liveness demo: a path between two hosts comes up, is cut, and heals, before your eyes (15 s)

Usage:
  route-liveness demo

The demo uses two network namespaces and the kernel's routing tables where it runs as root, and two loopback addresses
and a routing table in memory where it does not. It leaves nothing behind.
`;

/** Runs the demo. Returns the exit status. */
export async function demo([argument]: readonly string[]): Promise<number> {
  if (argument === '--help' || argument === '-h') {
    process.stdout.write(HELP);
    return 0;
  }
  if (argument !== undefined) {
    process.stderr.write(`The demo takes no arguments, got \`${argument}\`.\n\n${HELP}`);
    return 2;
  }
  const network = createDemoNetwork();
  const run = new DemoRun(network);
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(130));
    // Whoever read the output is gone, such as `head`.
    process.stdout.on('error', () => resolve(1));
  });
  try {
    return await Promise.race([run.play(), interrupted]);
  } finally {
    run.close();
    network.close();
  }
}

class DemoRun {
  readonly #network: DemoNetwork;
  readonly #agents: ChildProcess[] = [];
  readonly #events: { host: DemoHost; event: AgentEvent }[] = [];
  readonly #began = Date.now();
  readonly #paint = painterFor(process.stdout);

  constructor(network: DemoNetwork) {
    this.#network = network;
  }

  async play(): Promise<number> {
    const { hosts, description, cutBy } = this.#network;
    this.#say(`The network: ${description}.`);
    this.#say(`Each host sends a packet every ${INTERVAL_MS} ms; ${DETECT_MULT} intervals of silence, ${DETECT_MS} ms, mean Down.`);

    this.#step('1. Both hosts register their route. It is installed when packets go both ways.');
    for (const host of hosts) this.#start(host);
    await this.#both('add', 0);
    this.#showTable();
    await pause(1_500);

    this.#step(`2. The path is cut: ${cutBy}.`);
    const beforeCut = this.#events.length;
    this.#network.cut(this.#peer);
    const down = await this.#event(hosts[0], 'down', beforeCut);
    await this.#event(hosts[0], 'delete', beforeCut);
    this.#say(
      this.#paint('bold', `   Detected ${down.silence?.toFixed(1)} ms after the last packet had arrived; promised: ${DETECT_MS} ms.`),
    );
    this.#showTable();
    await pause(1_500);

    this.#step('3. The path heals.');
    const beforeHeal = this.#events.length;
    const healedAt = Date.now();
    this.#network.heal(this.#peer);
    await this.#both('add', beforeHeal);
    this.#say(this.#paint('bold', `   Both routes are back ${Date.now() - healedAt} ms after the heal.`));
    this.#showTable();

    this.#step('4. Both hosts withdraw their routes and close.');
    const beforeEnd = this.#events.length;
    for (const agent of this.#agents) agent.stdin?.end();
    await this.#both('delete', beforeEnd);
    this.#showTable();
    return 0;
  }

  close(): void {
    for (const agent of this.#agents) {
      agent.kill('SIGCONT');
      agent.kill('SIGKILL');
    }
  }

  get #peer(): ChildProcess {
    const [, peer] = this.#agents;
    if (peer === undefined) throw new Error('the second host was not started');
    return peer;
  }

  #start(host: DemoHost): void {
    const other = this.#network.hosts.find((candidate) => candidate !== host) ?? host;
    const program = [process.execPath, process.argv[1] ?? '', 'demo-agent', JSON.stringify({ host, other })];
    const agent = this.#network.spawn(host, program);
    this.#agents.push(agent);
    if (agent.stdout === null) return;
    createInterface({ input: agent.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as AgentEvent;
      this.#events.push({ host, event });
      this.#report(host, event);
    });
  }

  #report(host: DemoHost, { at, kind, text, what }: AgentEvent): void {
    const colour = what === 'up' || what === 'add' ? 'green' : what === 'down' || what === 'delete' ? 'red' : 'dim';
    const number = this.#network.hosts.indexOf(host) + 1;
    const since = `${at - this.#began}`.padStart(6);
    this.#say(`   ${this.#paint('dim', `${since} ms`)}  host ${number}  ${kind.padEnd(10)}  ${this.#paint(colour, text)}`);
  }

  async #both(what: string, from: number): Promise<void> {
    await Promise.all(this.#network.hosts.map((host) => this.#event(host, what, from)));
  }

  async #event(host: DemoHost, what: string, from: number): Promise<AgentEvent> {
    const deadline = Date.now() + EVENT_TIMEOUT_MS;
    for (;;) {
      const found = this.#events.slice(from).find((seen) => seen.host === host && seen.event.what === what);
      if (found !== undefined) return found.event;
      if (Date.now() > deadline) throw new Error(`${host.name} did not report \`${what}\` within ${EVENT_TIMEOUT_MS} ms`);
      await pause(5);
    }
  }

  #showTable(): void {
    const [first] = this.#network.hosts;
    const table = this.#network.table(first);
    if (table === undefined) return;
    this.#say(this.#paint('dim', `   $ ip route show proto bgp        (host 1)\n   ${table === '' ? '(empty)' : table}`));
  }

  #step(text: string): void {
    this.#say(`\n${this.#paint('bold', text)}`);
  }

  #say(text: string): void {
    process.stdout.write(`${text}\n`);
  }
}

/** One host of the demo: a manager with one route, until its input ends. */
export async function demoHost([given = '']: readonly string[]): Promise<number> {
  const { host, other } = JSON.parse(given) as { host: DemoHost; other: DemoHost };
  const netlinker = host.backend === 'netlink' ? new NetlinkRoutes() : new MemoryRoutes();
  const manager = await Manager.start({ netlinker, bindIP: host.address, txMin: INTERVAL_MS, rxMin: INTERVAL_MS, detectMult: DETECT_MULT });
  manager.on('transition', ({ from, to, reason, at, count, silence }) => {
    const why = to === 'down' && reason !== 'none' ? ` (${reason})` : '';
    const several = count > 1 ? ` (${count} transitions)` : '';
    print({
      kind: 'transition',
      at: at.getTime(),
      text: `${from} → ${to}${why}${several}`,
      what: to,
      ...(silence === undefined ? {} : { silence }),
    });
  });
  manager.on('route', ({ op, ok, route, duration, error }) => {
    const done = op === 'add' ? 'installed' : 'withdrawn';
    const text = ok ? `${route.dst} ${done} in ${duration.toFixed(2)} ms` : `${route.dst} could not be ${done}: ${error.message}`;
    print({ kind: 'route', at: Date.now(), text, what: ok ? op : 'failed' });
  });
  const route = { table: 254, dst: other.prefix, src: host.address, nextHop: other.address, protocol: 186 };
  await manager.registerRoute(route, host.iface, { peerIP: other.address });
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once('end', resolve));
  await manager.close({ withdrawRoutes: true });
  return 0;
}

function print(event: AgentEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
