/** Waiting for what another program does in its own time. */
import { pause } from '../netns/agent.js';

const PATIENCE_MS = 20_000;

/** Waits until something holds. @throws Error that says what was waited for */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await pause(50);
  }
}
