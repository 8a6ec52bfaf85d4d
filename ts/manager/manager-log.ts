/** What a manager writes to the log. Without a logger, what must not go unnoticed is a warning of the process. */
import { messageOf } from '../base/errors.js';
import { definedOf } from '../base/fields.js';
import { warnProcess } from '../base/guard.js';
import type { Environment } from '../base/environment.js';
import { componentLogger, type Logger } from '../base/logger.js';
import { formatPeer, formatRoute, type Peer } from '../base/route.js';
import { Throttle } from '../base/throttle.js';
import type { RegisteredRoute, RouteOperation } from '../routes/installer.js';
import { LineLimit } from './line-limit.js';
import type { Transition } from './transitions.js';

/** Warnings that are warnings of the process where there is no logger: the manager does less than one may expect. */
const PROCESS_WARNINGS: ReadonlySet<string> = new Set([
  'ERR_ENGINE_UNAVAILABLE',
  'ERR_FILTER_REFUSED',
  'ERR_REALTIME_REFUSED',
  'ERR_PASSIVE_ROLE',
  'ERR_MASS_DOWN',
  'ERR_RESUME_COLD',
  'ERR_RESUME_UNCLAIMED',
]);

/** So many lines on transitions pass in a second, and as many on routes. */
const MOST_LINES = 100;

export class ManagerLog {
  /** For the parts of the manager that write lines of their own. */
  readonly logger: Logger;
  readonly #hasLogger: boolean;
  readonly #throttle: Throttle;
  readonly #transitions: LineLimit;
  readonly #operations: LineLimit;
  #hasWarnedOfPassiveRole = false;

  /** @throws ConfigError if the user's logger makes no child */
  constructor(logger: Logger | undefined, environment: Environment) {
    this.logger = componentLogger(logger, 'liveness');
    this.#hasLogger = logger !== undefined;
    this.#throttle = new Throttle(environment);
    const summary =
      (what: string) =>
      (counts: ReadonlyMap<string, number>): void => {
        const count = [...counts.values()].reduce((sum, more) => sum + more, 0);
        const kinds = [...counts].map(([kind, more]) => `${more} ${kind}`).join(', ');
        this.logger.warn({ count, kinds: Object.fromEntries(counts) }, `${count} more ${what} in the last second: ${kinds}`);
      };
    this.#transitions = new LineLimit(environment, MOST_LINES, summary('transitions of sessions'));
    this.#operations = new LineLimit(environment, MOST_LINES, summary('operations on routes'));
  }

  /** A warning that has a code. One of a code comes at most once in five seconds, with the number of those left out before. */
  warning(code: string, message: string): void {
    if (!this.#hasLogger && PROCESS_WARNINGS.has(code)) warnProcess(code, message);
    this.#repeated(code, (skipped, more) => {
      this.logger.warn({ code, ...skipped }, `${message}${more}`);
    });
  }

  /** As `warning`, with fields of its own. */
  routeWarning(fields: { readonly code?: string }, message: string): void {
    this.#repeated(fields.code ?? message, (skipped, more) => {
      this.logger.warn({ ...fields, ...skipped }, `${message}${more}`);
    });
  }

  #repeated(kind: string, write: (skipped: { skipped?: number }, more: string) => void): void {
    this.#throttle.log(kind, (skipped) => {
      if (skipped === 0) write({}, '');
      else write({ skipped }, ` (${skipped} warnings of this kind were left out before)`);
    });
  }

  /** Writes what is left of summaries: the manager closes. */
  flush(): void {
    this.#transitions.flush();
    this.#operations.flush();
  }

  /** Once per manager: that both ends of a session are passive cannot be noticed. */
  passiveRole(): void {
    if (this.#hasWarnedOfPassiveRole) return;
    this.#hasWarnedOfPassiveRole = true;
    const message = 'sessions with `passive` send nothing before their peer does: if the peer is passive too, they never come up';
    this.warning('ERR_PASSIVE_ROLE', message);
  }

  transition(transition: Transition): void {
    const { peer, from, to, reason, cause, count, everUp, localStall, silence, localDiag, remoteDiag } = transition;
    if (!this.#transitions.passes(to === 'down' ? `to down (${reason})` : `to ${to}`)) return;
    const fields = { ...peer, from, to, reason, cause, count, everUp, localStall, ...definedOf({ silence, localDiag, remoteDiag }) };
    const isFailure = to === 'down' && from !== 'admin_down';
    if (isFailure && everUp) this.logger.warn(fields, `session went from ${from} to ${to} (${whyOf(transition)})`);
    else if (isFailure) this.logger.info(fields, `session went from ${from} to ${to} (${whyOf(transition)}); it was never up`);
    else this.logger.info(fields, `session went from ${from} to ${to}`);
  }

  operation(operation: RouteOperation): void {
    const { route, iface, op, duration } = operation;
    const fields = { ...route, iface, op, duration };
    const done = op === 'add' ? 'installed' : 'withdrawn';
    if (!this.#operations.passes(operation.ok ? done : `not ${done}`)) return;
    if (operation.ok) this.logger.info(fields, `route ${done}: ${formatRoute(route)}`);
    else this.logger.error({ ...fields, err: operation.error }, `route could not be ${done}: ${messageOf(operation.error)}`);
  }

  suppressed({ route, iface }: RegisteredRoute, until: Date): void {
    if (!this.#operations.passes('suppressed')) return;
    const message = `route suppressed until ${until.toISOString()}, since its session was down: ${formatRoute(route)}`;
    this.logger.info({ ...route, iface, until }, message);
  }

  hold(peers: readonly Readonly<Peer>[] | undefined, until: Date | undefined, what: string): void {
    const whose = peers === undefined ? 'all sessions' : peers.map(formatPeer).join('; ');
    this.logger.warn({ peers, until }, `${whose}: ${what}`);
  }

  /** @param roundTrip in milliseconds */
  longRoundTrip(peer: Peer, roundTrip: number): void {
    const message = `the round trip, ${roundTrip} ms at least, is longer than the detection time`;
    this.#repeated('long round trip', (skipped, more) => {
      this.logger.warn({ ...peer, roundTrip, ...skipped }, `${message}${more}`);
    });
  }

  transitionsDropped(count: number): void {
    const message = `nobody reads a stream of transitions: ${count} records of sessions that have ended were dropped`;
    this.logger.warn({ code: 'ERR_TRANSITIONS_DROPPED', count }, message);
  }

  listenerFailed(error: Error, event: string): void {
    const message = `a listener of '${event}' failed: ${messageOf(error)}`;
    if (this.#hasLogger) this.logger.error({ err: error, event }, message);
    else warnProcess('ERR_LISTENER', message);
  }

  /** @param heard whether a listener gets the error */
  engineStopped(error: Error, heard: boolean): void {
    const message = `the engine has stopped: ${messageOf(error)}`;
    this.logger.error({ err: error }, message);
    if (!this.#hasLogger && !heard) warnProcess('ERR_ENGINE_STOPPED', message);
  }
}

/** The reason of a Down; in BFD with what both ends say of it. */
function whyOf({ reason, localDiag, remoteDiag }: Transition): string {
  const sent = localDiag === undefined ? [] : [`diagnostic sent: ${localDiag}`];
  const received = remoteDiag === undefined ? [] : [`received: ${remoteDiag}`];
  return [reason, ...sent, ...received].join(', ');
}
