/** The calls for one slot that the backend has not answered: the one that runs, and those given up on after a timeout. */
import { type BackendCall, type BackendOperation, conflicts } from './backend-call.js';

export class PendingCalls {
  #running: BackendCall | undefined = undefined;
  /** Created when it is needed: few slots ever have a late call. */
  #late: Set<BackendCall> | undefined = undefined;

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  get hasLate(): boolean {
    return (this.#late?.size ?? 0) > 0;
  }

  begin(operation: BackendOperation): BackendCall {
    const call: BackendCall = { operation, overlapped: false };
    this.#running = call;
    for (const late of this.#late ?? []) {
      if (conflicts(late.operation, operation)) late.overlapped = true;
    }
    return call;
  }

  /** The running call was answered or given up on: the next one may begin. */
  endRunning(): void {
    this.#running = undefined;
  }

  addLate(call: BackendCall): void {
    (this.#late ??= new Set()).add(call);
  }

  removeLate(call: BackendCall): void {
    this.#late?.delete(call);
  }

  countLate(kind: BackendOperation['kind']): number {
    let count = 0;
    for (const { operation } of this.#late ?? []) count += operation.kind === kind ? 1 : 0;
    return count;
  }

  /** Marks the calls whose effect a change of the slot may have undone. Without `by` the change was none of our calls. */
  markOverlapped(by?: BackendOperation): void {
    for (const call of [this.#running, ...(this.#late ?? [])]) {
      if (call !== undefined && (by === undefined || conflicts(call.operation, by))) call.overlapped = true;
    }
  }
}
