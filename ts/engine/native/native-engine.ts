/** The native engine: the addon's threads behind the `Engine` interface. Nothing here runs per packet. */
import type { AddressInfo } from 'node:net';

import { familyOf } from '../../base/address.js';
import { closedError, codeOf, LivenessError, messageOf } from '../../base/errors.js';
import type { Binding, Delivery, NativeEngineHandle } from './binding.js';
import type {
  Capabilities,
  Engine,
  EngineListener,
  EngineOptions,
  EngineReading,
  EngineStats,
  ObjectFilter,
  PathFault,
  RouteArming,
  SessionId,
  SessionPath,
  SessionSpec,
} from '../engine.js';
import { routeRows, sessionRows, snapshotsOf } from './rows.js';
import { statisticsOf } from './statistics.js';

const CAPABILITIES: Omit<Capabilities, 'nextHopObjects'> = Object.freeze({
  pktinfo: true,
  interfaceBinding: true,
  arrivalTime: true,
  armedRoutes: true,
  independentOfEventLoop: true,
  realtime: true,
});

export class NativeEngine implements Engine {
  readonly kind = 'native';
  readonly capabilities: Capabilities;
  readonly arming: RouteArming;
  readonly #handle: NativeEngineHandle;
  readonly #protocol: EngineOptions['protocol'];
  readonly #listener: EngineListener;
  #closing: Promise<EngineStats | undefined> | undefined;

  /** @throws LivenessError the system's error where the address cannot be bound */
  constructor(binding: Binding, options: EngineOptions, listener: EngineListener) {
    this.#listener = listener;
    this.#protocol = options.protocol;
    try {
      // The doorbell refers to this object: a running engine is never garbage.
      this.#handle = new binding.NativeEngine(options, () => {
        this.#deliver();
      });
    } catch (cause) {
      const where = `${options.bindIPs.join(' and ')}, port ${options.port}`;
      throw new LivenessError(codeOf(cause) ?? 'ERR_ENGINE_UNAVAILABLE', `Cannot start on ${where}: ${messageOf(cause)}`, { cause });
    }
    this.capabilities = Object.freeze({ ...CAPABILITIES, nextHopObjects: binding.hasNextHopObjects() });
    const handle = this.#handle;
    this.arming = {
      arm: (routes, adopted = false) => {
        for (const some of portions(routes)) {
          const { rows, interfaces } = routeRows(some, adopted);
          handle.arm(rows, interfaces);
        }
      },
      disarm: (routes) => handle.disarm(routes),
      retry: (routes) => handle.retry(routes),
      setMaintenance: (sessions, active) => handle.setMaintenance(sessions ?? null, active),
    };
  }

  get resumed(): number {
    return this.#handle.resumed;
  }

  localAddr(): AddressInfo | undefined {
    const bound = this.#handle.localAddr();
    return bound === null ? undefined : { ...bound, family: familyOf(bound.address) };
  }

  checkPaths(paths: readonly SessionPath[]): PathFault[] {
    return this.#open().checkPaths(paths);
  }

  openMultihop(): void {
    this.#open().openMultihop();
  }

  addSessions(specs: readonly SessionSpec[]): void {
    for (const some of portions(specs)) {
      const { rows, interfaces, auths } = sessionRows(some);
      this.#open().addSessions(rows, interfaces, auths);
    }
  }

  updateSessions(specs: readonly SessionSpec[]): void {
    for (const some of portions(specs)) {
      const { rows, interfaces, auths } = sessionRows(some);
      this.#open().updateSessions(rows, interfaces, auths);
    }
  }

  removeSessions(ids: readonly SessionId[]): void {
    this.#open().removeSessions(ids);
  }

  setAdminDown(ids: readonly SessionId[], down: boolean): void {
    this.#open().setAdminDown(ids, down);
  }

  snapshots(ids?: readonly SessionId[]): EngineReading[] {
    return snapshotsOf(this.#open().snapshots(ids ?? null));
  }

  stats(): EngineStats {
    return statisticsOf(this.#open().stats(), this.#protocol);
  }

  async sweepObjects(filter: ObjectFilter): Promise<number> {
    return this.#open().sweepObjects(filter);
  }

  async ping(): Promise<void> {
    if (!(await this.#open().ping())) throw new LivenessError('ERR_ENGINE_STOPPED', 'The engine’s thread does not answer');
  }

  close(options: { adminDown: boolean; forget?: boolean | undefined }): Promise<EngineStats | undefined> {
    this.#closing ??= this.#handle.close(options.adminDown, options.forget ?? false).then((last) => {
      // Delivers what the threads have left in their last turn.
      this.#deliver();
      return last === null ? undefined : statisticsOf(last, this.#protocol);
    });
    return this.#closing;
  }

  ref(): void {
    if (this.#closing === undefined) this.#handle.ref();
  }

  unref(): void {
    this.#handle.unref();
  }

  #open(): NativeEngineHandle {
    if (this.#closing !== undefined) throw closedError();
    return this.#handle;
  }

  #deliver(): void {
    let more = true;
    while (more) {
      const delivery = this.#handle.drain();
      this.#pass(delivery);
      more = delivery.more;
    }
  }

  #pass({ sessions, routes, warnings, fatal }: Delivery): void {
    if (sessions.length > 0) this.#listener.sessions(sessions);
    if (routes.length > 0) this.#listener.routes(routes);
    for (const { code, message } of warnings) this.#listener.warning(code, message);
    if (fatal !== null) this.#listener.fatal(new LivenessError(fatal.code, fatal.message));
  }
}

/** So many sessions or routes go to the addon in one call: allocators keep the room that was needed at the most. */
const PORTION = 1_024;

function* portions<T>(all: readonly T[]): Iterable<readonly T[]> {
  if (all.length <= PORTION) yield all;
  else for (let from = 0; from < all.length; from += PORTION) yield all.slice(from, from + PORTION);
}
