/** How long the route of a called backend waits after its session came Up: `holdUp`, and `damping`. */
import type { Environment, Timer } from '../base/environment.js';
import type { SessionId } from '../engine/engine.js';
import { Damper } from './damper.js';
import type { SessionView } from './installer.js';

/** Follows one session, for one of its routes. */
export class Suppression {
  readonly sessionId: SessionId;
  readonly #environment: Environment;
  readonly #released: () => void;
  readonly #damper = new Damper();
  #wasUp: boolean;
  #downs: number;
  #untilMs: number | undefined = undefined;
  #timer: Timer | undefined = undefined;

  /** @param released called when a wait is over, and the session still Up */
  constructor({ id, up, downs }: SessionView, environment: Environment, released: () => void) {
    this.sessionId = id;
    this.#wasUp = up;
    this.#downs = downs;
    this.#environment = environment;
    this.#released = released;
  }

  /** Until when the route waits, in milliseconds of the environment's clock; `undefined` if it does not. */
  get untilMs(): number | undefined {
    return this.#untilMs;
  }

  /** Takes what the session has done since the last call. */
  follow(session: SessionView): void {
    const downs = session.downs - this.#downs;
    const cameUp = session.up && (!this.#wasUp || downs > 0);
    this.#downs = session.downs;
    this.#wasUp = session.up;
    if (downs > 0 || !session.up) this.end();
    const now = this.#environment.now();
    if (downs > 0 && session.damping !== undefined) this.#damper.down(now, session.damping, downs);
    if (cameUp) this.#begin(session, now);
  }

  /** Ends the wait, if there is one. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#untilMs = undefined;
  }

  #begin({ holdUpMs, damping, downs }: SessionView, now: number): void {
    const heldUntil = downs > 0 ? now + holdUpMs : now;
    const dampedUntil = damping && this.#damper.up(now, damping);
    const until = Math.max(heldUntil, dampedUntil ?? now);
    if (until <= now) return;
    this.#untilMs = until;
    this.#timer = this.#environment.after(until - now, () => {
      this.end();
      this.#released();
    });
  }
}
