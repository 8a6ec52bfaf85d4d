/** What the agent does when the engine of a manager stops by itself, or its thread no longer answers. */
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { HealthAnswer } from '../../ts/agent/control-api.js';
import type { RunningManager } from '../../ts/agent/running-manager.js';
import { Supervisor, watchdogOf } from '../../ts/agent/supervisor.js';
import { Manager } from '../../ts/index.js';
import { fileWith, routeLine, TestAgent } from './agent-helpers.js';
import { type FakeEngine, startFake } from './fake-engine.js';

afterEach(() => vi.restoreAllMocks());

/** An agent whose manager has an engine that a test can make fail. */
async function startWithFake(watchdog?: number): Promise<{ agent: TestAgent; engine: FakeEngine }> {
  const { manager, engine } = await startFake({ bindIP: '127.0.0.1' });
  vi.spyOn(Manager, 'start').mockResolvedValue(manager);
  const file = fileWith(`    routes:\n${routeLine(1)}`);
  return { agent: await TestAgent.start(file, watchdog === undefined ? {} : { watchdog }), engine };
}

describe('an engine that stops by itself', () => {
  it('makes the agent ill, unready and about to end, with the reason', async () => {
    const { agent, engine } = await startWithFake();
    expect((await agent.ask('/healthz')).status).toBe(200);
    engine.listener.fatal(new Error('the socket is gone'));
    expect((await agent.agent.failed).message).toBe('the engine of the manager `main` has stopped: the socket is gone');
    await expect.poll(async () => (await agent.ask('/healthz')).status).toBe(503);
    const health = (await agent.ask('/healthz')).json as HealthAnswer;
    expect(health).toMatchObject({ ok: false, managers: [{ name: 'main', ok: false, error: 'the socket is gone' }] });
    expect(await agent.ask('/readyz')).toMatchObject({ status: 503, json: { ok: false } });
    expect((await agent.ask('/sessions')).status).toBe(503);
  });
});

describe('the supervisor', () => {
  const manager = (isWell: () => boolean): Pick<RunningManager, 'checkHealth'> => ({ checkHealth: () => Promise.resolve(isWell()) });

  it('says nothing to a watchdog while the thread of one manager of several does not answer', async () => {
    const told: string[] = [];
    let isWell = false;
    let checks = 0;
    const second = manager(() => {
      checks += 1;
      return isWell;
    });
    const notify = (state: string): boolean => told.push(state) > 0;
    const supervisor = new Supervisor({ managers: () => [manager(() => true), second], notify, watchdog: 20 });
    await expect.poll(() => checks).toBeGreaterThan(2);
    expect(told).toEqual([]);
    isWell = true;
    await expect.poll(() => told).toContain('WATCHDOG=1');
    supervisor.close();
  });

  it.each([
    [{}, undefined],
    [{ WATCHDOG_USEC: '10000000' }, 10_000],
    [{ WATCHDOG_USEC: '10000000', WATCHDOG_PID: '7' }, 10_000],
    [{ WATCHDOG_USEC: '10000000', WATCHDOG_PID: '8' }, undefined],
    [{ WATCHDOG_USEC: 'x' }, undefined],
    [{ WATCHDOG_USEC: '0' }, undefined],
  ])('reads %j of the environment as a watchdog of %s ms', (env, milliseconds) => {
    expect(watchdogOf(env, 7)).toBe(milliseconds);
  });
});
