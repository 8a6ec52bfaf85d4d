/** Buffers what an engine delivers before its manager exists: the engine is started first. */
import type { EngineListener, RouteOutcome, SessionRecord } from './engine.js';

export class BufferedListener implements EngineListener {
  #target: EngineListener | undefined;
  #early: ((target: EngineListener) => void)[] = [];

  /** Passes on what is buffered, and everything that follows. */
  attach(target: EngineListener): void {
    this.#target = target;
    for (const deliver of this.#early.splice(0)) deliver(target);
  }

  sessions(records: readonly SessionRecord[]): void {
    this.#pass((target) => target.sessions(records));
  }

  routes(outcomes: readonly RouteOutcome[]): void {
    this.#pass((target) => target.routes(outcomes));
  }

  warning(code: string, message: string): void {
    this.#pass((target) => target.warning(code, message));
  }

  fatal(error: Error): void {
    this.#pass((target) => target.fatal(error));
  }

  #pass(deliver: (target: EngineListener) => void): void {
    if (this.#target === undefined) this.#early.push(deliver);
    else deliver(this.#target);
  }
}
