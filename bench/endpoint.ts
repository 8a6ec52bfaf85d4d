/** The processes that are measured: one on each host, each on a core of its own. */
import { join } from 'node:path';

import type { Host, Lab } from '../test/netns/lab.js';
import type { Counts, EndpointMethods, Registering, Sample, Starting } from './endpoint-methods.js';
import { grid, type Side } from './grid.js';
import { LineProcess } from './lines.js';
import { BENCH, FLOOR } from './places.js';

const PORT = 44_880;

type Answer = { readonly result: unknown } | { readonly error: string };

/** What can be asked of floor and engines alike. */
export interface Countable {
  counts(): Promise<Counts>;
  end(): Promise<void>;
}

/** A manager in a process. */
export class Endpoint implements Countable {
  readonly pid: number;
  readonly #process: LineProcess;
  #lastId = 0;

  private constructor(lab: Lab, host: Host, core: number | undefined, flags: readonly string[]) {
    const program = [process.execPath, ...flags, join(BENCH, '.out', 'endpoint-program.js')];
    const child = lab.spawn(host, 'env', core === undefined ? program : ['taskset', '-c', String(core), ...program]);
    this.#process = new LineProcess(child);
    this.pid = child.pid ?? 0;
  }

  static async start(
    lab: Lab,
    host: Host,
    routes: Starting['routes'],
    config: Omit<Starting['config'], 'bindIP'>,
    { core, flags = [] }: { core?: number | undefined; flags?: readonly string[] } = {},
  ): Promise<Endpoint> {
    const endpoint = new Endpoint(lab, host, core, flags);
    await endpoint.call('start', { routes, config: { bindIP: '0.0.0.0', port: PORT, ...config } });
    return endpoint;
  }

  async call<M extends keyof EndpointMethods>(
    method: M,
    ...given: Parameters<EndpointMethods[M]>
  ): Promise<Awaited<ReturnType<EndpointMethods[M]>>> {
    this.#lastId += 1;
    const answer = (await this.#process.ask([this.#lastId, method, given[0]])) as Answer;
    if ('error' in answer) throw new Error(answer.error);
    return answer.result as Awaited<ReturnType<EndpointMethods[M]>>;
  }

  /** Registers all sessions of a grid of this size, or those that `more` names. */
  register(side: Side, gridSize: number, more: Partial<Registering> = {}): Promise<{ accepted: number; sent: number }> {
    return this.call('register', { side, gridSize, from: 0, count: gridSize, iface: `v${side}`, table: 100, ...more });
  }

  counts(): Promise<Sample> {
    return this.call('sample');
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  end(): Promise<void> {
    this.signal('SIGCONT');
    return this.#process.end();
  }
}

/** The native floor, and the one of JavaScript. */
const FLOORS = { floor: [FLOOR], dgram: [process.execPath, join(BENCH, '.out', 'dgram-program.js')] } as const;

/** What a floor is to be the floor of. */
export interface FloorLoad {
  readonly side: Side;
  readonly sessions: number;
  readonly intervalMs: number;
  readonly kind: keyof typeof FLOORS;
  /** What the native one sleeps on. */
  readonly wake: 'receive' | 'tick';
  readonly core: number | undefined;
}

/** The floor in a process: it sends and receives as an endpoint with so many sessions in Up would. */
export class Floor implements Countable {
  readonly #process: LineProcess;

  private constructor(process: LineProcess) {
    this.#process = process;
  }

  static async start(lab: Lab, host: Host, { side, sessions, intervalMs, kind, wake, core }: FloorLoad): Promise<Floor> {
    const child = lab.spawn(host, 'env', [...(core === undefined ? [] : ['taskset', '-c', String(core)]), ...FLOORS[kind]]);
    const floor = new Floor(new LineProcess(child));
    const pairs = grid(side, sessions).map(({ localIP, peerIP }) => [localIP, peerIP]);
    await floor.#process.ask({ iface: host.iface, port: PORT, intervalUs: intervalMs * 1_000, wake, sessions: pairs });
    return floor;
  }

  async counts(): Promise<Counts> {
    return (await this.#process.ask({})) as Counts;
  }

  end(): Promise<void> {
    return this.#process.end();
  }
}
