/** The main job before the reader's eyes: a path comes up, is cut, and heals. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

import { Manager, MemoryRoutes, NetlinkRoutes } from '../index.js';
import { createDemoNetwork, type DemoNetwork, type DemoHost } from './demo-network.js';

const INTERVAL_MS = 50;
const DETECT_MULT = 3;
const DETECT_MS = INTERVAL_MS * DETECT_MULT;
const PATIENCE_MS = 5_000;

/** What an agent prints, one line of JSON each. */
interface AgentEvent {
  readonly kind: 'transition' | 'route';
  /** The wall clock in milliseconds. */
  readonly at: number;
  readonly text: string;
  /** The new state, or `add` and `delete`. */
  readonly what: string;
  /** For a Down: so long after the last packet had arrived, in milliseconds. */
  readonly silence?: number;
}

/** Plays the demo; gives the exit code. */
export async function demo(): Promise<number> {
  const stage = createDemoNetwork();
  const show = new DemoRun(stage);
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(130));
  });
  try {
    return await Promise.race([show.play(), interrupted]);
  } finally {
    show.close();
    stage.close();
  }
}

class DemoRun {
  readonly #stage: DemoNetwork;
  readonly #agents: ChildProcess[] = [];
  readonly #notices: { host: DemoHost; notice: AgentEvent }[] = [];
  readonly #began = Date.now();
  readonly #paint = painter();

  constructor(stage: DemoNetwork) {
    this.#stage = stage;
  }

  async play(): Promise<number> {
    const { hosts, description, cutBy } = this.#stage;
    this.#say(`The network: ${description}.`);
    this.#say(`Each host sends a packet every ${INTERVAL_MS} ms; ${DETECT_MULT} intervals of silence, ${DETECT_MS} ms, mean Down.`);

    this.#step('1. Both hosts register their route. It is installed when packets go both ways.');
    for (const host of hosts) this.#start(host);
    await this.#both('add', 0);
    this.#showTable();
    await pause(1_500);

    this.#step(`2. The path is cut: ${cutBy}.`);
    const cutMark = this.#notices.length;
    this.#stage.cut(this.#peer);
    const down = await this.#notice(hosts[0], 'down', cutMark);
    await this.#notice(hosts[0], 'delete', cutMark);
    this.#say(
      this.#paint('bold', `   Detected ${down.silence?.toFixed(1)} ms after the last packet had arrived; promised: ${DETECT_MS} ms.`),
    );
    this.#showTable();
    await pause(1_500);

    this.#step('3. The path heals.');
    const healMark = this.#notices.length;
    const healedAt = Date.now();
    this.#stage.heal(this.#peer);
    await this.#both('add', healMark);
    this.#say(this.#paint('bold', `   Both routes are back ${Date.now() - healedAt} ms after the heal.`));
    this.#showTable();

    this.#step('4. The hosts say goodbye and withdraw their routes.');
    const endMark = this.#notices.length;
    for (const agent of this.#agents) agent.stdin?.end();
    await this.#both('delete', endMark);
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
    const other = this.#stage.hosts.find((it) => it !== host) ?? host;
    const program = [process.execPath, process.argv[1] ?? '', 'demo-agent', JSON.stringify({ host, other })];
    const agent = this.#stage.spawn(host, program);
    this.#agents.push(agent);
    if (agent.stdout === null) return;
    createInterface({ input: agent.stdout }).on('line', (line) => {
      const notice = JSON.parse(line) as AgentEvent;
      this.#notices.push({ host, notice });
      this.#report(host, notice);
    });
  }

  #report(host: DemoHost, { at, kind, text, what }: AgentEvent): void {
    const colour = what === 'up' || what === 'add' ? 'green' : what === 'down' || what === 'delete' ? 'red' : 'dim';
    const number = this.#stage.hosts.indexOf(host) + 1;
    const since = `${at - this.#began}`.padStart(6);
    this.#say(`   ${this.#paint('dim', `${since} ms`)}  host ${number}  ${kind.padEnd(10)}  ${this.#paint(colour, text)}`);
  }

  async #both(what: string, from: number): Promise<void> {
    await Promise.all(this.#stage.hosts.map((host) => this.#notice(host, what, from)));
  }

  async #notice(host: DemoHost, what: string, from: number): Promise<AgentEvent> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = this.#notices.slice(from).find((it) => it.host === host && it.notice.what === what);
      if (found !== undefined) return found.notice;
      if (Date.now() > deadline) throw new Error(`${host.name} did not come to \`${what}\` within ${PATIENCE_MS} ms`);
      await pause(5);
    }
  }

  #showTable(): void {
    const [one] = this.#stage.hosts;
    const table = this.#stage.table(one);
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
export async function agent([given = '']: readonly string[]): Promise<number> {
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

function print(notice: AgentEvent): void {
  process.stdout.write(`${JSON.stringify(notice)}\n`);
}

type Paint = 'bold' | 'dim' | 'red' | 'green';

/** Colours where a person looks, plain text elsewhere and where NO_COLOR asks for it. */
function painter(): (paint: Paint, text: string) => string {
  const codes: Record<Paint, number> = { bold: 1, dim: 2, red: 31, green: 32 };
  const inColour = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '';
  return (paint, text) => (inColour ? `\u001b[${codes[paint]}m${text}\u001b[0m` : text);
}
