/** Whatever a backend does and however a session flaps: operations of one route stay in order and end where they should. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { BackendInstaller } from '../../ts/routes/backend-installer.js';
import type { Route } from '../../ts/index.js';

const ROUTE: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const RULES = { passiveMode: false, honorPeerAdvertisedPassive: false, routeTimeout: 1_000, isMaintained: () => false };

type Behaviour = { readonly takes: number; readonly fails: boolean };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A backend that takes its time, fails now and then, and acts when it answers. */
class MoodyBackend {
  installed = false;
  running = 0;
  mostRunning = 0;
  readonly #moods: Behaviour[];

  constructor(moods: Behaviour[]) {
    this.#moods = moods;
  }

  routeAdd(): Promise<void> {
    return this.#operate(true);
  }

  routeDelete(): Promise<void> {
    return this.#operate(false);
  }

  routeByProtocol(): Route[] {
    return [];
  }

  async #operate(installed: boolean): Promise<void> {
    const { takes, fails } = this.#moods.shift() ?? { takes: 0, fails: false };
    this.running += 1;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    await new Promise((resolve) => setTimeout(resolve, takes));
    this.running -= 1;
    if (fails) throw new Error('moody');
    this.installed = installed;
  }
}

const moods = (longest: number) =>
  fc.array(fc.record({ takes: fc.integer({ min: 0, max: longest }), fails: fc.boolean() }), { maxLength: 30 });
const flaps = fc.array(fc.record({ after: fc.integer({ min: 0, max: 400 }), up: fc.boolean() }), { minLength: 1, maxLength: 30 });

async function play(backend: MoodyBackend, changes: readonly { after: number; up: boolean }[]): Promise<boolean> {
  const installer = new BackendInstaller(backend, RULES, () => undefined);
  const unhindered = { holdUpMs: 0, damping: undefined, downs: 0, lastTransition: undefined };
  const session = { id: 1, up: false, peerPassive: false, isPeerAdminDown: false, keepsOnPeerAdminDown: false, ...unhindered };
  const numbers = { destination: 1, prefixLength: 32, source: 2, nextHop: 3, priority: 0, table: ROUTE.table, protocol: ROUTE.protocol };
  const registered = { id: 1, iface: 'eth0', route: ROUTE, noUninstall: false, adminDown: false, session, ...numbers };
  installer.add([registered]);
  for (const { after, up } of changes) {
    await vi.advanceTimersByTimeAsync(after);
    session.up = up;
    installer.changed(registered);
  }
  await vi.advanceTimersByTimeAsync(300_000);
  expect(installer.status(registered)).toEqual({ installed: session.up, leg: 'primary', lastError: undefined });
  installer.close();
  return session.up;
}

it('BackendInstaller: under random failures and delays, the backend ends in the last state of the session, with one call at a time', async () => {
  await fc.assert(
    fc.asyncProperty(moods(RULES.routeTimeout - 1), flaps, async (behaviour, changes) => {
      const backend = new MoodyBackend([...behaviour]);
      const up = await play(backend, changes);
      expect(backend.installed).toBe(up);
      expect(backend.mostRunning).toBeLessThanOrEqual(1);
    }),
    { numRuns: 200 },
  );
});

it('BackendInstaller: the backend ends in the last state of the session even if answers come after the timeout', async () => {
  await fc.assert(
    fc.asyncProperty(moods(5_000), flaps, async (behaviour, changes) => {
      const backend = new MoodyBackend([...behaviour]);
      expect(await play(backend, changes)).toBe(backend.installed);
    }),
    { numRuns: 200 },
  );
});
