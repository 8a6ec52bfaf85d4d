/** An agent process on a host of the lab, steered from a test. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { ManagerStats, Route } from '../../ts/index.js';
import type { Host, Lab } from './lab.js';

const PROGRAM = fileURLToPath(new URL('agent.mjs', import.meta.url));

/** How long a test waits for what has to happen some time. */
const PATIENCE_MS = 15_000;

/** What the agent prints, with the wall clock's time in milliseconds at which it did. */
export interface AgentEvent {
  readonly event: 'transition' | 'route' | 'standstill' | 'loss' | 'fatal' | 'handover';
  readonly at: number;
  readonly from?: string;
  readonly to?: string;
  readonly reason?: string;
  readonly localStall?: number;
  readonly silence?: number;
  readonly everUp?: boolean;
  readonly count?: number;
  readonly op?: 'add' | 'delete';
  readonly leg?: 'primary' | 'backup';
  /** Of a loss. */
  readonly how?: 'taken' | 'dropped';
  readonly ok?: boolean;
  readonly route?: Route;
  readonly error?: { code: string; message: string };
}

export interface AgentSession {
  readonly state: string;
  readonly detectTime: number;
  readonly lastDownReason: string;
  readonly peerMode: string;
  readonly routes: readonly {
    route: Route;
    installed: boolean;
    adminDown: boolean;
    suppressedUntil?: string;
    lastError?: { code: string; message: string };
  }[];
}

/** A line of the agent's log, at the default level. */
export interface LogLine {
  readonly at: number;
  /** Its text without the numbers. */
  readonly kind: string;
  readonly message: string;
}

/** Memory in bytes, and processor time of all threads in microseconds. */
export interface Usage {
  readonly rss: number;
  readonly cpu: number;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { code: string; message: string };
}

export class Agent {
  readonly host: Host;
  readonly events: AgentEvent[] = [];
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  #wake: () => void = () => undefined;
  #lastId = 0;

  constructor(lab: Lab, host: Host, wrapper: readonly string[] = []) {
    this.host = host;
    this.#child = lab.spawn(host, 'env', [...wrapper, process.execPath, PROGRAM]);
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('the agent has no output');
    createInterface({ input: stdout }).on('line', (line) => {
      this.#hear(JSON.parse(line) as Answer | AgentEvent);
    });
    this.#child.once('exit', (code, signal) => {
      const error = { code: 'ERR_AGENT', message: `the agent on ${host.name} has ended (${code ?? signal})` };
      for (const [id, answer] of this.#answers) answer({ id, error });
    });
  }

  /** A running agent at 50 ms × 3, unless told otherwise. */
  static async start(lab: Lab, host: Host, config: Record<string, unknown> = {}): Promise<Agent> {
    const agent = new Agent(lab, host);
    await agent.call('start', { bindIP: host.address, txMin: 50, rxMin: 50, detectMult: 3, ...config });
    return agent;
  }

  /** Calls a method of the agent; a failure there is an error with its code here. */
  async call<T>(method: string, ...values: unknown[]): Promise<T> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<Answer>((resolve) => this.#answers.set(id, resolve));
    this.#child.stdin?.write(`${JSON.stringify([id, method, ...values])}\n`);
    const { result, error } = await answer;
    if (error !== undefined) throw Object.assign(new Error(error.message), { code: error.code });
    return result as T;
  }

  register(route: Route, options: Record<string, unknown> = {}): Promise<void> {
    return this.call('registerRoute', route, this.host.iface, options);
  }

  sessions(): Promise<AgentSession[]> {
    return this.call('sessions');
  }

  stats(): Promise<ManagerStats> {
    return this.call('stats');
  }

  usage(): Promise<Usage> {
    return this.call('usage');
  }

  /** The first event since `from` that fits; waits for it. */
  async event(fits: (event: AgentEvent) => boolean, from = 0): Promise<AgentEvent> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = this.events.slice(from).find(fits);
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`no such event on ${this.host.name}: ${JSON.stringify(this.events.slice(from))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 500);
      });
    }
  }

  /** What happened to sessions and routes since `from`. */
  changes(from: number): AgentEvent[] {
    return this.events.slice(from).filter(({ event }) => event !== 'standstill');
  }

  state(to: string, from = 0): Promise<AgentEvent> {
    return this.event((event) => event.event === 'transition' && event.to === to, from);
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`the agent on ${this.host.name} was not started`);
    return pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.signal('SIGKILL');
    await gone;
  }

  #hear(message: Answer | AgentEvent): void {
    if ('id' in message) {
      this.#answers.get(message.id)?.(message);
      this.#answers.delete(message.id);
      return;
    }
    this.events.push(message);
    this.#wake();
  }
}

/** The route to the other host's service address, through the other host. */
export function serviceRoute(lab: Lab, host: Host, changes: Partial<Route> = {}): Route {
  const other = lab.other(host);
  return { table: 254, dst: lab.prefix(other), src: host.address, nextHop: other.address, protocol: 186, ...changes };
}

/** Two agents whose sessions are Up and whose routes are installed. */
export async function startPair(lab: Lab, configOf: (host: Host) => Record<string, unknown> = () => ({})): Promise<[Agent, Agent]> {
  const agents = (await Promise.all([lab.one, lab.two].map((host) => Agent.start(lab, host, configOf(host))))) as [Agent, Agent];
  await Promise.all(agents.map((agent) => registerService(lab, agent)));
  await Promise.all(agents.map((agent) => agent.event(isAdd)));
  return agents;
}

export async function registerService(lab: Lab, agent: Agent): Promise<void> {
  await agent.register(serviceRoute(lab, agent.host), { peerIP: lab.other(agent.host).address });
}

export const isAdd = (event: AgentEvent): boolean => event.op === 'add' && event.ok === true;
export const isDelete = (event: AgentEvent): boolean => event.op === 'delete' && event.ok === true;

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
