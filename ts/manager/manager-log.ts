/** What a manager writes to the log. Without a logger, what must not go unnoticed is a warning of the process. */
import { messageOf } from '../base/errors.js';
import { definedOf } from '../base/fields.js';
import { warnProcess } from '../base/guard.js';
import { componentLogger, type Logger } from '../base/logger.js';
import { formatRoute, type Peer } from '../base/route.js';
import type { RouteOperation } from '../routes/installer.js';
import type { Transition } from './transitions.js';

/** Warnings that are warnings of the process where there is no logger: the manager does less than one may expect. */
const PROCESS_WARNINGS: ReadonlySet<string> = new Set(['ERR_ENGINE_UNAVAILABLE', 'ERR_REALTIME_REFUSED', 'ERR_PASSIVE_ROLE']);

export class ManagerLog {
  /** For the parts of the manager that write lines of their own. */
  readonly logger: Logger;
  readonly #hasLogger: boolean;
  #hasWarnedOfPassiveRole = false;

  /** @throws ConfigError if the user's logger makes no child */
  constructor(logger: Logger | undefined) {
    this.logger = componentLogger(logger, 'liveness');
    this.#hasLogger = logger !== undefined;
  }

  /** A warning that has a code. */
  warning(code: string, message: string): void {
    if (!this.#hasLogger && PROCESS_WARNINGS.has(code)) warnProcess(code, message);
    this.logger.warn({ code }, message);
  }

  /** Once per manager: that both ends of a session are passive cannot be noticed. */
  passiveRole(): void {
    if (this.#hasWarnedOfPassiveRole) return;
    this.#hasWarnedOfPassiveRole = true;
    const message = 'sessions with `passive` send nothing before their peer does: if the peer is passive too, they never come up';
    this.warning('ERR_PASSIVE_ROLE', message);
  }

  transition(transition: Transition): void {
    const { peer, from, to, reason, cause, count, localStall, silence, localDiag, remoteDiag } = transition;
    const fields = { ...peer, from, to, reason, cause, count, localStall, ...definedOf({ silence, localDiag, remoteDiag }) };
    if (to === 'down' && from !== 'admin_down') this.logger.warn(fields, `session went from ${from} to ${to} (${whyOf(transition)})`);
    else this.logger.info(fields, `session went from ${from} to ${to}`);
  }

  operation(operation: RouteOperation): void {
    const { route, iface, op, duration } = operation;
    const fields = { ...route, iface, op, duration };
    const done = op === 'add' ? 'installed' : 'withdrawn';
    if (operation.ok) this.logger.info(fields, `route ${done}: ${formatRoute(route)}`);
    else this.logger.error({ ...fields, err: operation.error }, `route could not be ${done}: ${messageOf(operation.error)}`);
  }

  /** @param roundTrip in milliseconds */
  longRoundTrip(peer: Peer, roundTrip: number): void {
    this.logger.warn({ ...peer, roundTrip }, `the round trip, ${roundTrip} ms at least, is longer than the detection time`);
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
