/** The loop that sends what is due and declares Down what has been silent for too long. */
import * as v from 'valibot';

import { givenMicros, LONGEST_WAIT_MS, monotonicNow, toMicros } from '../base/clock.js';
import { expected, LivenessError, messageOf } from '../base/errors.js';
import { field, flag, functionField, hasMethods, integer, object, optionsOf, SIGNAL_SCHEMA } from '../base/fields.js';
import { callGuarded, promised } from '../base/guard.js';
import { componentLogger, type Logger, loggerField } from '../base/logger.js';
import {
  LABEL_OPERATION,
  LABEL_REASON,
  LABEL_STATE,
  LABEL_STATE_FROM,
  LABEL_STATE_TO,
  type Metrics,
  metricsField,
  peerLabels,
  scopeLabels,
} from '../metrics/metrics.js';
import { MetricsSink } from '../metrics/metrics-sink.js';
import { formatPeer } from '../base/route.js';
import { Xorshift32 } from './jitter.js';
import { randomWord } from './random.js';
import { Session } from './session.js';
import type { SessionCore } from './session-core.js';
import type { State } from './state.js';
import { Throttle } from '../base/throttle.js';
import { MOST_ROUNDS, Timeline, type TimelineListener, Tracked, type TransitionCause } from './timeline.js';
import type { UDPService } from './udp.js';

/**
 * Called when a session was taken Down by silence (reference name: `SessionDownFunc`). What it throws, or rejects with, is
 * counted and logged.
 */
export type SessionDown = (session: Session) => void;

export interface SchedulerOptions {
  /** The transport to send by. */
  udp: UDPService;
  onSessionDown: SessionDown;
  /** Entries in the queue; two per session, so that one session more than half of it is refused. Default: 10 240. */
  maxEvents?: number | undefined;
  /** Show series per peer too. Default: false. */
  enablePeerMetrics?: boolean | undefined;
  /** Repeated failures are logged once in five seconds. Default: nothing is logged. */
  logger?: Logger | undefined;
  metrics?: Metrics | undefined;
}

/** What a scheduler has done so far. */
export interface SchedulerStats {
  readonly sent: number;
  readonly writeErrors: number;
  /** `onSessionDown` threw. */
  readonly handlerErrors: number;
}

const DEFAULT_MAX_EVENTS = 10_240;

const SCHEMA = object({
  udp: field<UDPService>('a UDPService', (value) => hasMethods(value, ['writeTo'])),
  onSessionDown: functionField<SessionDown>(),
  maxEvents: v.optional(integer(2, Number.MAX_SAFE_INTEGER)),
  enablePeerMetrics: v.optional(flag),
  logger: v.optional(loggerField),
  metrics: v.optional(metricsField),
});

class Slot extends Tracked {
  readonly owner: Session;
  /** The state as it was told last. */
  told: State;
  /** When the packet arrived that was accepted last. */
  heardAt: number | undefined;

  constructor(owner: Session) {
    super(owner.core);
    this.owner = owner;
    this.told = owner.core.state;
    this.heardAt = owner.core.lastRx;
  }
}

/**
 * Drives sessions (reference name: `Scheduler`): a session that is added is probed at once; a change of state is announced
 * at once, but not sooner than one interval after the last packet; silence is judged when everything that had arrived was
 * read.
 */
export class Scheduler {
  readonly #udp: UDPService;
  readonly #onSessionDown: (...given: Parameters<SessionDown>) => unknown;
  readonly #maxSessions: number;
  readonly #maxEvents: number;
  readonly #log: Logger;
  readonly #metrics: MetricsSink;
  readonly #hasPeerMetrics: boolean;
  readonly #throttle = new Throttle();
  readonly #slots = new Map<Session, Slot>();
  readonly #timeline: Timeline<Slot>;
  readonly #stats = { sent: 0, writeErrors: 0, handlerErrors: 0 };
  /** How many packets were handled. */
  #handled = 0;
  /** Ends the wait that is under way. */
  #wake: () => void = () => undefined;

  /** @throws LivenessError `ERR_CONFIG` */
  constructor(options: SchedulerOptions) {
    const { udp, onSessionDown, maxEvents = DEFAULT_MAX_EVENTS, enablePeerMetrics = false, logger, metrics } = optionsOf(SCHEMA, options);
    this.#udp = udp;
    this.#onSessionDown = onSessionDown;
    this.#maxEvents = maxEvents;
    this.#maxSessions = Math.floor(maxEvents / 2);
    this.#hasPeerMetrics = enablePeerMetrics;
    this.#log = componentLogger(logger, 'liveness.scheduler');
    this.#metrics = new MetricsSink(metrics, (thrown) => this.#metricsFailed(thrown));
    const random = new Xorshift32(randomWord());
    this.#timeline = new Timeline(this.#maxSessions, () => random.next(), this.#listener());
  }

  /**
   * Takes a session in; its first packet leaves at once.
   *
   * @throws LivenessError `ERR_TOO_MANY_SESSIONS`, naming the value to set; `ERR_CONFIG` where it is no session
   */
  add(session: Session): void {
    checkSession(session);
    if (this.#slots.has(session)) return;
    if (this.#slots.size >= this.#maxSessions) {
      const needed = 2 * (this.#slots.size + 1);
      const message = `One session more than ${this.#maxSessions}, half of \`maxEvents\` (${this.#maxEvents}): set it to at least ${needed}`;
      throw new LivenessError('ERR_TOO_MANY_SESSIONS', message);
    }
    const { core } = session;
    const slot = new Slot(session);
    this.#slots.set(session, slot);
    core.nextTx = this.#timeline.paced(nowUs());
    this.#timeline.add(slot);
    this.#metrics.add('sessions', { ...scopeLabels(session.peer), [LABEL_STATE]: core.state });
    this.#showPeer(session, undefined);
    this.#wake();
  }

  /** Lets a session go, without a farewell. One that is not there is gone already. @throws LivenessError `ERR_CONFIG` */
  remove(session: Session): void {
    checkSession(session);
    const slot = this.#slots.get(session);
    if (slot === undefined) return;
    this.#slots.delete(session);
    this.#timeline.remove(slot);
    this.#metrics.add('sessions', { ...scopeLabels(session.peer), [LABEL_STATE]: slot.told }, -1);
    if (this.#hasPeerMetrics) {
      this.#metrics.remove('peerSessions', { ...peerLabels(session.peer), [LABEL_STATE]: slot.told });
      this.#metrics.remove('peerDetectTime', peerLabels(session.peer));
    }
  }

  /**
   * To be called after `session.handleRx(now, packet)`, with what that gave: a change is announced, and silence is counted
   * from here. A packet that the session ignored changes nothing.
   *
   * @throws LivenessError `ERR_CONFIG` where `now` is no time, `session` no session or `changed` no boolean
   */
  handled(session: Session, changed: boolean, now: number): void {
    checkSession(session);
    if (typeof changed !== 'boolean') throw new LivenessError('ERR_CONFIG', expected('changed', 'a boolean', changed));
    const at = givenMicros('now', now);
    this.#handled += 1;
    const slot = this.#slots.get(session);
    if (slot === undefined) return;
    const { lastRx } = session.core;
    if (changed) this.#timeline.changed(at, slot, slot.told, 'handle_rx', at);
    else if (lastRx !== slot.heardAt) this.#timeline.heard(slot);
    slot.heardAt = lastRx;
    this.#showPeer(session, slot.told);
    this.#wake();
  }

  stats(): SchedulerStats {
    return { ...this.#stats };
  }

  /** Works until the signal aborts: resolves then (reference name: `Scheduler.Run`). */
  async run(options?: { signal?: AbortSignal | undefined }): Promise<void> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    const isRunning = (): boolean => signal?.aborted !== true;
    const stop = (): void => this.#wake();
    signal?.addEventListener('abort', stop);
    try {
      while (isRunning()) {
        const now = nowUs();
        const planned = this.#timeline.deadline;
        if (planned !== undefined && planned < now) this.#timeline.noteLateness(now, now - planned);
        this.#timeline.handleTimeout(now, 0);
        if (this.#isDue(now)) await this.#judge(now, isRunning);
        await this.#sleep(isRunning);
      }
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Everything that had arrived by then is handled before a session is declared Down: yields until a round has brought nothing. */
  async #judge(since: number, isRunning: () => boolean): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS && isRunning(); round++) {
      const before = this.#handled;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#handled === before) break;
      // Receiving never postpones transmitting: what is due leaves, nothing is judged.
      this.#timeline.handleTimeout(nowUs(), 0);
    }
    if (isRunning()) this.#timeline.handleTimeout(nowUs(), since);
  }

  #isDue(now: number): boolean {
    const { deadline } = this.#timeline;
    return deadline !== undefined && deadline <= now;
  }

  async #sleep(isRunning: () => boolean): Promise<void> {
    const { deadline } = this.#timeline;
    const wait = deadline === undefined ? LONGEST_WAIT_MS : Math.ceil((deadline - nowUs()) / 1_000);
    if (!isRunning()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(Math.max(wait, 0), LONGEST_WAIT_MS));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }

  #listener(): TimelineListener<Slot> {
    return {
      transmit: ({ owner }, packet) => {
        void this.#send(owner, packet.marshal());
      },
      changed: (slot, _, cause) => {
        this.#changed(slot, cause);
      },
      grace: ({ owner }) => {
        this.#log.debug({ ...owner.peer }, 'a timeout was put off: this process was late itself');
      },
      queued: ({ owner }, change) => {
        this.#metrics.add('schedulerServiceQueueLen', scopeLabels(owner.peer), change);
        this.#metrics.add('schedulerTotalQueueLen', {}, change);
      },
    };
  }

  async #send(session: Session, bytes: Uint8Array): Promise<void> {
    const { iface, localIP, peerIP } = session.peer;
    try {
      await promised(() => this.#udp.writeTo(bytes, { address: peerIP, port: session.port }, iface, localIP));
      this.#stats.sent += 1;
      this.#metrics.add('controlPacketsTX', scopeLabels(session.peer));
    } catch (thrown) {
      this.#stats.writeErrors += 1;
      this.#metrics.add('writeSocketErrors', { ...scopeLabels(session.peer), [LABEL_OPERATION]: 'write_to' });
      this.#throttle.log('write', (skipped) =>
        this.#log.warn({ err: thrown, skipped, ...session.peer }, `cannot send: ${messageOf(thrown)}`),
      );
    }
  }

  #changed(slot: Slot, cause: TransitionCause): void {
    // From what was told last: whoever else drives the session does not make the gauges drift.
    const { owner, session, told: from } = slot;
    const to = session.state;
    slot.told = to;
    const labels = scopeLabels(owner.peer);
    this.#metrics.add('sessions', { ...labels, [LABEL_STATE]: from }, -1);
    this.#metrics.add('sessions', { ...labels, [LABEL_STATE]: to });
    this.#metrics.add('sessionTransitions', { ...labels, [LABEL_STATE_FROM]: from, [LABEL_STATE_TO]: to, [LABEL_REASON]: cause });
    this.#showPeer(owner, from);
    this.#log.info({ ...owner.peer, from, to, cause }, `session went from ${from} to ${to}`);
    // Not from inside of the turn: whoever is told may remove the session.
    if (cause === 'detect_timeout') queueMicrotask(() => this.#tellDown(owner));
  }

  #tellDown(session: Session): void {
    callGuarded(
      () => this.#onSessionDown(session),
      (thrown) => {
        this.#stats.handlerErrors += 1;
        this.#throttle.log('handler', (skipped) =>
          this.#log.error({ err: thrown, skipped }, `onSessionDown threw for ${formatPeer(session.peer)}: ${messageOf(thrown)}`),
        );
      },
    );
  }

  #metricsFailed(thrown: unknown): void {
    this.#throttle.log('metrics', (skipped) => this.#log.warn({ err: thrown, skipped }, `a metric failed: ${messageOf(thrown)}`));
  }

  #showPeer(session: Session, from: State | undefined): void {
    if (!this.#hasPeerMetrics) return;
    const { state, detectTimeUs }: SessionCore = session.core;
    const labels = peerLabels(session.peer);
    if (from !== undefined && from !== state) this.#metrics.remove('peerSessions', { ...labels, [LABEL_STATE]: from });
    this.#metrics.set('peerSessions', { ...labels, [LABEL_STATE]: state }, 1);
    this.#metrics.set('peerDetectTime', labels, detectTimeUs / 1_000_000);
  }
}

function checkSession(session: unknown): void {
  if (!(session instanceof Session)) throw new LivenessError('ERR_CONFIG', expected('session', 'a Session', session));
}

function nowUs(): number {
  return toMicros(monotonicNow());
}
