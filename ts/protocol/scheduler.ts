/** The loop that sends packets when they are due and takes silent sessions Down. */
import { addAbortListener } from 'node:events';

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
  endpointLabels,
} from '../metrics/metrics.js';
import { MetricsSink } from '../metrics/metrics-sink.js';
import { formatPeer } from '../base/route.js';
import { Xorshift32 } from './jitter.js';
import { randomWord } from '../base/random.js';
import { Session } from './session.js';
import type { SessionCore } from './session-core.js';
import type { State } from './state.js';
import { Throttle } from '../base/throttle.js';
import { MOST_ROUNDS, Timeline, type TimelineListener, TimelineEntry, type TransitionCause } from './timeline.js';
import type { UDPService } from './udp-service.js';

/**
 * Called after silence has taken a session Down (reference name: `SessionDownFunc`). An error that it throws or rejects with
 * is counted and logged.
 */
export type SessionDown = (session: Session) => void;

export interface SchedulerOptions {
  /** The transport that sends. */
  udp: UDPService;
  onSessionDown: SessionDown;
  /** The most entries in the queue; each session has two. Default: 10 240. */
  maxEvents?: number | undefined;
  /** Whether to show series per peer. Default: false. */
  enablePeerMetrics?: boolean | undefined;
  /** Default: nothing is logged. A repeated failure is logged once in five seconds. */
  logger?: Logger | undefined;
  metrics?: Metrics | undefined;
}

/** Counters of a scheduler. */
export interface SchedulerStats {
  readonly sent: number;
  readonly writeErrors: number;
  /** How often `onSessionDown` failed. */
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

class ScheduledSession extends TimelineEntry {
  readonly owner: Session;
  /** The state that was reported last. */
  reported: State;
  /** The arrival of the last accepted packet. */
  lastRx: number | undefined;

  constructor(owner: Session) {
    super(owner.core);
    this.owner = owner;
    this.reported = owner.core.state;
    this.lastRx = owner.core.lastRx;
  }
}

/**
 * Drives sessions (reference name: `Scheduler`). An added session sends its first packet at once. A change of state is
 * announced at once, but not sooner than one interval after the last packet. Detection is checked after all datagrams that
 * have arrived are handled.
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
  readonly #scheduled = new Map<Session, ScheduledSession>();
  readonly #timeline: Timeline<ScheduledSession>;
  readonly #stats = { sent: 0, writeErrors: 0, handlerErrors: 0 };
  /** The number of handled packets. */
  #handled = 0;
  /** Ends the present wait. */
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
   * Adds a session; its first packet leaves at once.
   *
   * @throws LivenessError `ERR_TOO_MANY_SESSIONS`, naming the value to set; `ERR_CONFIG` if it is no session
   */
  add(session: Session): void {
    checkSession(session);
    if (this.#scheduled.has(session)) return;
    if (this.#scheduled.size >= this.#maxSessions) {
      const needed = 2 * (this.#scheduled.size + 1);
      const message = `One session more than ${this.#maxSessions}, half of \`maxEvents\` (${this.#maxEvents}): set it to at least ${needed}`;
      throw new LivenessError('ERR_TOO_MANY_SESSIONS', message);
    }
    const { core } = session;
    const scheduled = new ScheduledSession(session);
    this.#scheduled.set(session, scheduled);
    core.nextTx = this.#timeline.paced(nowUs());
    this.#timeline.add(scheduled);
    this.#metrics.add('sessions', { ...endpointLabels(session.peer), [LABEL_STATE]: core.state });
    this.#showPeer(session, undefined);
    this.#wake();
  }

  /** Removes a session, without an AdminDown announcement. Does nothing for an unknown session. @throws LivenessError `ERR_CONFIG` */
  remove(session: Session): void {
    checkSession(session);
    const scheduled = this.#scheduled.get(session);
    if (scheduled === undefined) return;
    this.#scheduled.delete(session);
    this.#timeline.remove(scheduled);
    this.#metrics.add('sessions', { ...endpointLabels(session.peer), [LABEL_STATE]: scheduled.reported }, -1);
    if (this.#hasPeerMetrics) {
      this.#metrics.remove('peerSessions', { ...peerLabels(session.peer), [LABEL_STATE]: scheduled.reported });
      this.#metrics.remove('peerDetectTime', peerLabels(session.peer));
    }
  }

  /**
   * To be called after `session.handleRx(now, packet)`, with its result: announces a change and restarts detection. A packet
   * that the session ignored has no effect.
   *
   * @throws LivenessError `ERR_CONFIG` if `now` is no time, `session` no session or `changed` no boolean
   */
  handled(session: Session, changed: boolean, now: number): void {
    checkSession(session);
    if (typeof changed !== 'boolean') throw new LivenessError('ERR_CONFIG', expected('changed', 'a boolean', changed));
    const at = givenMicros('now', now);
    this.#handled += 1;
    const scheduled = this.#scheduled.get(session);
    if (scheduled === undefined) return;
    const { lastRx } = session.core;
    if (changed) this.#timeline.changedByPacket(at, scheduled, scheduled.reported, at, scheduled.lastRx);
    else if (lastRx !== scheduled.lastRx) this.#timeline.packetAccepted(scheduled);
    scheduled.lastRx = lastRx;
    this.#showPeer(session, scheduled.reported);
    this.#wake();
  }

  stats(): SchedulerStats {
    return { ...this.#stats };
  }

  /** Runs until the signal aborts, then resolves (reference name: `Scheduler.Run`). */
  async run(options?: { signal?: AbortSignal | undefined }): Promise<void> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    const isRunning = (): boolean => signal?.aborted !== true;
    const abortListener = signal && addAbortListener(signal, () => this.#wake());
    try {
      while (isRunning()) {
        const now = nowUs();
        const planned = this.#timeline.deadline;
        if (planned !== undefined && planned < now) this.#timeline.noteTurnDelay(now, now - planned);
        this.#timeline.handleTimeout(now, 0);
        if (this.#isDue(now)) await this.#checkDetection(now, isRunning);
        await this.#sleep(isRunning);
      }
    } finally {
      abortListener?.[Symbol.dispose]();
    }
  }

  /** Yields until a round of the event loop has brought no packet, then takes silent sessions Down. */
  async #checkDetection(since: number, isRunning: () => boolean): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS && isRunning(); round++) {
      const before = this.#handled;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#handled === before) break;
      // Receiving must not postpone transmitting: packets that are due leave now. With 0 no session goes Down.
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

  #listener(): TimelineListener<ScheduledSession> {
    return {
      transmit: ({ owner }, bytes) => {
        void this.#send(owner, bytes);
      },
      changed: (scheduled, _, cause) => {
        this.#changed(scheduled, cause);
      },
      extended: ({ owner }) => {
        this.#log.debug({ ...owner.peer }, 'detection time extended: this process was late itself');
      },
      queued: ({ owner }, change) => {
        this.#metrics.add('schedulerServiceQueueLen', endpointLabels(owner.peer), change);
        this.#metrics.add('schedulerTotalQueueLen', {}, change);
      },
    };
  }

  async #send(session: Session, bytes: Uint8Array): Promise<void> {
    const { iface, localIP, peerIP } = session.peer;
    try {
      await promised(() => this.#udp.writeTo(bytes, { address: peerIP, port: session.port }, iface, localIP));
      this.#stats.sent += 1;
      this.#metrics.add('controlPacketsTX', endpointLabels(session.peer));
    } catch (thrown) {
      this.#stats.writeErrors += 1;
      this.#metrics.add('writeSocketErrors', { ...endpointLabels(session.peer), [LABEL_OPERATION]: 'write_to' });
      this.#throttle.log('write', (skipped) =>
        this.#log.warn({ err: thrown, skipped, ...session.peer }, `cannot send: ${messageOf(thrown)}`),
      );
    }
  }

  #changed(scheduled: ScheduledSession, cause: TransitionCause): void {
    // From the state that was reported last: the gauges stay right if the user changes the session, too.
    const { owner, session, reported: from } = scheduled;
    const to = session.state;
    scheduled.reported = to;
    const labels = endpointLabels(owner.peer);
    this.#metrics.add('sessions', { ...labels, [LABEL_STATE]: from }, -1);
    this.#metrics.add('sessions', { ...labels, [LABEL_STATE]: to });
    this.#metrics.add('sessionTransitions', { ...labels, [LABEL_STATE_FROM]: from, [LABEL_STATE_TO]: to, [LABEL_REASON]: cause });
    this.#showPeer(owner, from);
    this.#log.info({ ...owner.peer, from, to, cause }, `session went from ${from} to ${to}`);
    // After this turn, since the callback may remove the session.
    if (cause === 'detect_timeout') queueMicrotask(() => this.#reportDown(owner));
  }

  #reportDown(session: Session): void {
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
