/** What one call registers: everything is checked first, so that it is done as a whole or not at all. */
import { toMicros } from './clock.js';
import { type RegisterOptions, type ResolvedConfig, validateRegisterOptions } from './config.js';
import type { PathFault, SessionPath, SessionTimers } from './engine/engine.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, type RouteIssue } from './errors.js';
import { DEFAULT_LIVENESS_PORT } from './protocol/udp.js';
import { keyOf, type Registry, type Session } from './registry.js';
import { formatPeer, formatRoute, formatSlot, parseInterface, parseRoute, type Peer, peerOf, type Route } from './route.js';

/** A route to register, with its options. */
export interface Registration extends RegisterOptions {
  route: Route;
  iface: string;
}

/** A registration that was found in order. */
export interface Plan {
  readonly route: Readonly<Route>;
  readonly iface: string;
  readonly peer: Readonly<Peer>;
  readonly peerPort: number;
  readonly timers: SessionTimers;
}

export interface Planning {
  readonly plans: Plan[];
  readonly issues: RouteIssue[];
  /** What stands behind each issue, by its index. */
  readonly errors: Map<number, unknown>;
}

/** Plans registrations against what is registered, against each other and against the host. */
export function planRegistrations(
  registrations: readonly Registration[],
  registry: Registry,
  config: ResolvedConfig,
  checkPaths: (paths: readonly SessionPath[]) => readonly PathFault[],
): Planning {
  const planner = new Planner(registry, config);
  const errors = new Map<number, unknown>();
  const accepted: { index: number; plan: Plan }[] = [];
  registrations.forEach((registration, index) => {
    try {
      accepted.push({ index, plan: planner.plan(registration) });
    } catch (error) {
      errors.set(index, error);
    }
  });
  const plans = accepted.map(({ plan }) => plan);
  // A path that is in use was found good when its session began; interfaces and addresses may come and go since.
  const fresh = accepted.filter(({ plan }) => registry.session(plan.peer) === undefined);
  for (const fault of checkPaths(fresh.map(({ plan }) => plan.peer))) {
    const found = fresh[fault.index];
    if (found !== undefined) errors.set(found.index, pathError(found.plan, fault));
  }
  const issues = [...errors].sort(([one], [other]) => one - other).map(([index, error]) => toIssue(index, error));
  return { plans, issues, errors };
}

class Planner {
  readonly #registry: Registry;
  readonly #config: ResolvedConfig;
  /** What the plans before this one will have taken. */
  readonly #slots = new Map<string, string>();
  readonly #sessions = new Map<string, Plan>();
  #newSessions = 0;

  constructor(registry: Registry, config: ResolvedConfig) {
    this.#registry = registry;
    this.#config = config;
  }

  plan(registration: Registration): Plan {
    if (typeof registration !== 'object' || (registration as unknown) === null) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('', 'an object with `route` and `iface`', registration));
    }
    const { route: given, iface: name, ...options } = registration;
    const route = parseRoute(given);
    const iface = parseInterface(name);
    const { port, peerIP, ...own } = validateRegisterOptions(options, this.#config);
    const peer = { iface, localIP: route.src, peerIP: peerOf(route, peerIP) };
    if (peer.localIP === peer.peerIP) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('route.src', 'another address than the peer', route.src));
    }
    const { txMin, rxMin, detectMult } = { ...this.#config, ...defined(own) };
    const timers = { txMinUs: toMicros(txMin), rxMinUs: toMicros(rxMin), detectMult };
    const plan = { route, iface, peer, peerPort: port ?? DEFAULT_LIVENESS_PORT, timers };
    this.#checkSlot(plan);
    this.#checkSession(plan);
    return plan;
  }

  #checkSlot(plan: Plan): void {
    const { route, iface } = plan;
    const key = keyOf(iface, route);
    const slot = formatSlot(route);
    const occupant = this.#registry.occupant(route);
    const holder = this.#slots.get(slot) ?? occupant?.key;
    if (holder !== undefined && holder !== key) {
      throw new LivenessError('ERR_ROUTE_CONFLICT', `The slot (${slot}) is taken by another registered route (${holder})`);
    }
    if (occupant !== undefined && occupant.route.protocol !== route.protocol) {
      const message = `${formatRoute(occupant.route)} is registered with protocol ${occupant.route.protocol}: withdraw it first`;
      throw new LivenessError('ERR_ROUTE_CONFLICT', message);
    }
    if (occupant !== undefined && !occupant.leaving && formatPeer(occupant.session.peer) !== formatPeer(plan.peer)) {
      const message = `${formatRoute(route)} is registered with the peer ${occupant.session.peer.peerIP}: withdraw it first`;
      throw new LivenessError('ERR_ROUTE_CONFLICT', message);
    }
    this.#slots.set(slot, key);
  }

  #checkSession(plan: Plan): void {
    const name = formatPeer(plan.peer);
    const planned = this.#sessions.get(name);
    const session = this.#registry.session(plan.peer);
    if (session !== undefined && isSharedBeyond(session, plan)) checkSame(session.timers, session.peerPort, plan);
    if (planned !== undefined) checkSame(planned.timers, planned.peerPort, plan);
    if (session === undefined && planned === undefined) this.#checkLimit();
    this.#sessions.set(name, plan);
  }

  #checkLimit(): void {
    const most = maxSessions(this.#config);
    const needed = this.#registry.sessionCount + this.#newSessions + 1;
    if (needed <= most) {
      this.#newSessions += 1;
      return;
    }
    const message = `${needed} sessions are more than ${most}, half of \`maxEvents\` (${this.#config.maxEvents}): set \`maxEvents\` to at least ${needed * 2}`;
    throw new LivenessError('ERR_TOO_MANY_SESSIONS', message);
  }
}

/** Each session has two entries in the scheduler's queue. */
export function maxSessions(config: ResolvedConfig): number {
  return Math.floor(config.maxEvents / 2);
}

/** Whether other routes than the planned one depend on the session as it is. */
function isSharedBeyond(session: Session, plan: Plan): boolean {
  const key = keyOf(plan.iface, plan.route);
  return [...session.routes].some((entry) => !entry.leaving && entry.key !== key);
}

function checkSame(timers: SessionTimers, peerPort: number, plan: Plan): void {
  const own = plan.timers;
  const differing = [
    timers.txMinUs !== own.txMinUs ? 'txMin' : '',
    timers.rxMinUs !== own.rxMinUs ? 'rxMin' : '',
    timers.detectMult !== own.detectMult ? 'detectMult' : '',
    peerPort !== plan.peerPort ? 'port' : '',
  ].filter((name) => name !== '');
  const [path] = differing;
  if (path === undefined) return;
  const message = `The session (${formatPeer(plan.peer)}) is shared with other routes and has another ${differing.join(', ')}`;
  throw new ConfigError([{ path, message }]);
}

function pathError({ route, iface }: Plan, fault: PathFault): LivenessError {
  if (fault.code === 'ERR_NO_SUCH_INTERFACE') {
    return new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', 'the name of an interface of this host', iface));
  }
  return new LivenessError(fault.code, expected('route.src', 'an address of this host', route.src));
}

function toIssue(index: number, error: unknown): RouteIssue {
  return { index, code: codeOf(error) ?? 'ERR_INVALID_ROUTE', message: messageOf(error) };
}

function defined<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
}
