/** Maintenance: while a session is held, no route of it is withdrawn on a Down. It ends by itself. */
import type { Environment, Timer } from '../base/environment.js';
import type { SessionId } from '../engine/engine.js';

export interface MaintenanceListener {
  /** These sessions are held now, or no longer; `undefined` stands for all. */
  changed(sessions: readonly SessionId[] | undefined, active: boolean): void;
  /** The time of these sessions is over; `undefined` stands for all. Called before `changed`. */
  expired(sessions: readonly SessionId[] | undefined): void;
}

export class Maintenance {
  readonly #environment: Environment;
  readonly #listener: MaintenanceListener;
  /** Until when all sessions are held, in milliseconds of the environment's clock. */
  #allUntil: number | undefined;
  readonly #until = new Map<SessionId, number>();
  #timer: Timer | undefined;

  constructor(environment: Environment, listener: MaintenanceListener) {
    this.#environment = environment;
    this.#listener = listener;
  }

  /** Whether anything is held. */
  get isActive(): boolean {
    return this.#allUntil !== undefined || this.#until.size > 0;
  }

  /** Until when all sessions are held, in milliseconds of the environment's clock. */
  get allUntil(): number | undefined {
    return this.#allUntil;
  }

  /** Until when a session is held: by itself or with all, whichever is later. */
  heldUntil(session: SessionId): number | undefined {
    const [all, own] = [this.#allUntil, this.#until.get(session)];
    return all === undefined || own === undefined ? (all ?? own) : Math.max(all, own);
  }

  /** Holds sessions for so many milliseconds from now, whatever was said before; `undefined` stands for all. */
  hold(sessions: readonly SessionId[] | undefined, duration: number): void {
    const until = this.#environment.now() + duration;
    if (sessions === undefined) this.#allUntil = until;
    else for (const session of sessions) this.#until.set(session, until);
    this.#listener.changed(sessions, true);
    this.#schedule();
  }

  /** Holds sessions for so many milliseconds from now at least: a hold that lasts longer stays as it is. */
  holdAtLeast(sessions: readonly SessionId[], duration: number): void {
    const until = this.#environment.now() + duration;
    this.hold(
      sessions.filter((session) => (this.#until.get(session) ?? 0) < until),
      duration,
    );
  }

  /** Ends the hold of sessions; `undefined` ends that of all, and those of single ones. */
  release(sessions: readonly SessionId[] | undefined): void {
    const single = sessions === undefined ? [...this.#until.keys()] : sessions.filter((session) => this.#until.has(session));
    for (const session of single) this.#until.delete(session);
    if (single.length > 0) this.#listener.changed(single, false);
    if (sessions === undefined && this.#allUntil !== undefined) {
      this.#allUntil = undefined;
      this.#listener.changed(undefined, false);
    }
    this.#schedule();
  }

  /** A session has ended: its number is not used again. */
  ended(session: SessionId): void {
    if (this.#until.has(session)) this.release([session]);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer?.cancel();
    const times = [...this.#until.values(), ...(this.#allUntil === undefined ? [] : [this.#allUntil])];
    if (times.length === 0) return;
    const wait = Math.max(0, times.reduce((least, time) => Math.min(least, time)) - this.#environment.now());
    this.#timer = this.#environment.after(wait, () => this.#expire());
  }

  #expire(): void {
    const now = this.#environment.now();
    const over = [...this.#until].flatMap(([session, until]) => (until <= now ? [session] : []));
    for (const session of over) this.#until.delete(session);
    if (over.length > 0) {
      this.#listener.expired(over);
      this.#listener.changed(over, false);
    }
    if (this.#allUntil !== undefined && this.#allUntil <= now) {
      this.#allUntil = undefined;
      this.#listener.expired(undefined);
      this.#listener.changed(undefined, false);
    }
    this.#schedule();
  }
}
