/** What the control API answers, apart from HTTP. */
import type { Registry } from 'prom-client';

import type { RouteRef } from '../index.js';
import { VERSION } from '../base/version.js';
import type { HealthAnswer, RouteJson, SessionJson } from './control-api.js';
import type { EventLog } from './event-log.js';
import { type Filter, noSuchManager, parseFilter } from './filter.js';
import { RequestError } from './request-error.js';
import { parseHold, parseRelease, parseRoutes, type RoutesRequest } from './requests.js';
import type { RunningManager } from './running-manager.js';
import { SnapshotCache } from './snapshot-cache.js';

/** What the agent is doing. Ready: all managers run, with all that the file says registered. */
export type Phase = 'starting' | 'ready' | 'closing';

/** The part of an agent that its control API reads and changes. */
export interface AgentState {
  readonly managers: readonly RunningManager[];
  readonly phase: Phase;
  /** Why the agent ends, once a manager's engine has stopped. */
  readonly fault: Error | undefined;
  readonly started: Date;
  /** Settles when the present reload has ended. */
  readonly reloading: Promise<void> | undefined;
}

/** A list, and the answers that were made of it. */
interface Listing<T> {
  readonly name: string;
  readonly at: string;
  readonly views: readonly T[];
  /** As JSON, by the query that they answer. */
  readonly answers: Map<string, Uint8Array>;
}

/** So many answers are kept of a list: the same few questions are asked again and again. */
const MAX_ANSWERS = 32;

export class ControlService {
  readonly events: EventLog;
  readonly #agent: AgentState;
  readonly #registry: Registry;
  readonly #sessions: SnapshotCache<Listing<SessionJson>>;
  readonly #routes: SnapshotCache<Listing<RouteJson>>;
  readonly #health: SnapshotCache<HealthAnswer>;

  constructor(agent: AgentState, events: EventLog, registry: Registry) {
    this.events = events;
    this.#agent = agent;
    this.#registry = registry;
    this.#sessions = new SnapshotCache(() =>
      listing(
        'sessions',
        this.#agent.managers.flatMap((manager) => manager.sessions()),
      ),
    );
    this.#routes = new SnapshotCache(() =>
      listing(
        'routes',
        this.#agent.managers.flatMap((manager) => manager.routes()),
      ),
    );
    this.#health = new SnapshotCache(() => this.#readHealth());
  }

  /** `GET /sessions`, as JSON. */
  sessions(query: URLSearchParams): Uint8Array {
    this.#requireUp();
    return answerOf(this.#sessions.get(), query.toString(), () => this.#filter(query));
  }

  /** `GET /routes`, as JSON. */
  routes(query: URLSearchParams): Uint8Array {
    this.#requireUp();
    return answerOf(this.#routes.get(), query.toString(), () => this.#filter(query));
  }

  async metrics(): Promise<{ type: string; text: string }> {
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  health(): HealthAnswer {
    return this.#health.get();
  }

  /** Why the agent is not ready; `undefined` where it is. */
  unready(): string | undefined {
    if (this.#agent.phase !== 'ready') return `the agent is ${this.#agent.phase}`;
    const ill = this.health().managers.find(({ ok }) => !ok);
    return ill === undefined ? undefined : `the manager \`${ill.name}\` is not well: ${ill.error ?? ''}`;
  }

  async addRoutes(body: unknown): Promise<number> {
    return this.#change(parseRoutes(body), (manager, { routes }) => manager.addApiRoutes(routes));
  }

  async removeRoutes(body: unknown): Promise<number> {
    return this.#change(parseRoutes(body), (manager, { routes }) => manager.removeApiRoutes(refsOf(routes)));
  }

  async setAdminDown(body: unknown, down: boolean): Promise<number> {
    return this.#change(parseRoutes(body), (manager, { routes }) => manager.setAdminDown(refsOf(routes), down));
  }

  /** `POST /hold`: the managers that the request concerns. */
  async hold(body: unknown): Promise<string[]> {
    const { manager, peer_ip: peerIP, seconds, reason } = parseHold(body);
    return this.#each(manager, peerIP, (target) => target.hold(peerIP, seconds, reason));
  }

  async release(body: unknown): Promise<string[]> {
    const { manager, peer_ip: peerIP } = parseRelease(body);
    return this.#each(manager, peerIP, (target) => target.release(peerIP));
  }

  async #change(request: RoutesRequest, act: (manager: RunningManager, request: RoutesRequest) => Promise<void>): Promise<number> {
    // What a reload registers was decided when it began.
    while (this.#agent.reloading !== undefined) await this.#agent.reloading;
    this.#requireReady();
    try {
      await act(this.#manager(request.manager), request);
    } finally {
      this.forget();
    }
    return request.routes.length;
  }

  /** Acts on the managers that a request concerns: the named one, or all; of those the ones with a session to the peer, if it names one. */
  async #each(name: string | undefined, peerIP: string | undefined, act: (manager: RunningManager) => Promise<void>): Promise<string[]> {
    this.#requireReady();
    const named = name === undefined ? this.#agent.managers : [this.#manager(name)];
    const targets = peerIP === undefined ? named : named.filter((manager) => manager.hasPeer(peerIP));
    if (targets.length === 0) throw new RequestError(404, 'ERR_NO_SUCH_SESSION', `There is no session with ${peerIP ?? ''}`);
    try {
      for (const manager of targets) await act(manager);
    } finally {
      this.forget();
    }
    return targets.map((manager) => manager.name);
  }

  /** @throws RequestError 400 where the name has to be given; 404 */
  #manager(name: string | undefined): RunningManager {
    const { managers } = this.#agent;
    const names = managers.map((manager) => manager.name);
    const found = managers.find((manager) => (name === undefined ? managers.length === 1 : manager.name === name));
    if (found !== undefined) return found;
    if (name !== undefined) throw noSuchManager(name, names);
    throw new RequestError(400, 'ERR_BAD_REQUEST', `Expected \`manager\` to be one of ${names.join(', ')}, got nothing`);
  }

  #filter(query: URLSearchParams): Filter {
    return parseFilter(
      query,
      this.#agent.managers.map(({ name }) => name),
    );
  }

  #requireReady(): void {
    if (this.#agent.phase !== 'ready') throw new RequestError(503, 'ERR_NOT_READY', `The agent is ${this.#agent.phase}`);
  }

  /** Sessions can be read while the agent starts, not once its managers close. */
  #requireUp(): void {
    if (this.#agent.phase === 'closing') this.#requireReady();
  }

  #readHealth(): HealthAnswer {
    const { managers, fault, started } = this.#agent;
    const healths = managers.map((manager) => manager.health());
    const ok = fault === undefined && healths.every((health) => health.ok);
    return { ok, version: VERSION, started: started.toISOString(), managers: healths };
  }

  /** The next request sees what was changed just now. */
  forget(): void {
    for (const cache of [this.#sessions, this.#routes, this.#health]) cache.clear();
  }
}

function refsOf(routes: RoutesRequest['routes']): RouteRef[] {
  return routes.map(({ registration: { route, iface } }) => ({ route, iface }));
}

function listing<T>(name: string, views: readonly T[]): Listing<T> {
  return { name, at: new Date().toISOString(), views, answers: new Map() };
}

function answerOf<T extends SessionJson | RouteJson>(list: Listing<T>, query: string, parse: () => Filter): Uint8Array {
  const known = list.answers.get(query);
  if (known !== undefined) return known;
  const filter = parse();
  const views = filter === undefined ? list.views : list.views.filter((view) => filter.holds(view));
  const answer = Buffer.from(JSON.stringify({ at: list.at, [list.name]: views }));
  if (list.answers.size < MAX_ANSWERS) list.answers.set(query, answer);
  return answer;
}
