/** Restarts that no peer notices: after a crash, after a close, and while the predecessor lives. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { Agent, isAdd, pause, registerService, serviceRoute } from './agent.js';
import { describeLab, Lab } from './lab.js';
import { RouteMonitor } from './monitor.js';

/** A detection time of many seconds: no test depends on how soon a process starts. */
const SLOW = { txMin: 200, rxMin: 200, detectMult: 60 };

/** Routes to here tell from when on, and up to when, the kernel's notices were heard. */
const MARKS = '10.250.0.';

describeLab('a restart with a state file', [], () => {
  let lab: Lab;
  let folder: string;
  let resume: string;

  beforeEach(() => {
    lab = new Lab();
    folder = mkdtempSync(join(tmpdir(), 'resume-'));
    resume = join(folder, 'liveness.state');
  });

  afterEach(() => {
    lab.close();
    rmSync(folder, { recursive: true });
  });

  const start = async (agent: Agent, changes: Record<string, unknown> = {}): Promise<number> => {
    await agent.call('start', { bindIP: agent.host.address, ...SLOW, resume, ...changes });
    return agent.call('resumed');
  };

  /** An agent of host one with a state file, and its peer, Up. */
  const pair = async (changes: Record<string, unknown> = {}): Promise<{ ours: Agent; peer: Agent }> => {
    const ours = new Agent(lab, lab.one);
    const peer = new Agent(lab, lab.two);
    expect(await start(ours, changes)).toBe(0);
    await peer.call('start', { bindIP: lab.two.address, ...SLOW, ...changes });
    await Promise.all([registerService(lab, ours), registerService(lab, peer)]);
    await Promise.all([ours.event(isAdd), peer.event(isAdd)]);
    return { ours, peer };
  };

  /** The notices of the kernel on host one about routes, from a mark that is made now to one that is made when they are asked for. */
  const watch = async (): Promise<() => Promise<string[]>> => {
    const monitor = new RouteMonitor(lab, lab.one);
    let marks = 0;
    const isMark = (dst: string): boolean => dst.startsWith(MARKS);
    const mark = async (): Promise<void> => {
      const deadline = Date.now() + 15_000;
      const before = monitor.notices.filter(({ dst }) => isMark(dst)).length;
      // The monitor may not listen yet.
      while (monitor.notices.filter(({ dst }) => isMark(dst)).length === before) {
        if (Date.now() > deadline) throw new Error('the kernel tells of no mark');
        marks += 1;
        lab.route(lab.one, 'add', `${MARKS}${marks}`, 'via', lab.two.address, 'proto', '42');
        await pause(50);
      }
    };
    await mark();
    return async () => {
      await mark();
      return monitor.notices.filter(({ dst }) => !isMark(dst)).map(({ op, dst }) => `${op} ${dst}`);
    };
  };

  for (const protocol of ['liveness', 'bfd']) {
    it(`${protocol}: after kill -9 the sessions go on, the peer sees no transition, and the route stays in the kernel throughout`, async () => {
      const { ours, peer } = await pair({ protocol });
      const notices = await watch();
      const from = peer.events.length;
      let dying = ours;
      for (let round = 0; round < 2; round += 1) {
        const next = new Agent(lab, lab.one);
        await dying.kill();
        expect(await start(next, { protocol })).toBe(1);
        await registerService(lab, next);
        const up = await next.event(({ to }) => to === 'up');
        expect(up).toMatchObject({ from: 'admin_down', everUp: true });
        await expect.poll(async () => (await next.sessions())[0]?.routes[0]?.installed).toBe(true);
        dying = next;
      }
      expect(await notices()).toEqual([]);
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      expect(peer.changes(from)).toEqual([]);
      await dying.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
      expect(lab.has(lab.one, lab.two.service)).toBe(false);
      expect(await notices(), 'the notices are heard').toEqual([`delete ${lab.two.service}`]);
    });

    it(`${protocol}: a predecessor that lives hands over: it closes, keeps its route, and the peer sees no transition`, async () => {
      const { ours, peer } = await pair({ protocol });
      const notices = await watch();
      const from = peer.events.length;
      const next = new Agent(lab, lab.one);
      expect(await start(next, { protocol })).toBe(1);
      await ours.event(({ event }) => event === 'handover');
      await ours.call('closed');
      await expect(ours.sessions()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
      await registerService(lab, next);
      await next.event(({ to }) => to === 'up');
      // It listens itself, and hands over in its turn.
      const third = new Agent(lab, lab.one);
      expect(await start(third, { protocol })).toBe(1);
      await registerService(lab, third);
      await third.event(({ to }) => to === 'up');
      expect(await notices()).toEqual([]);
      expect(peer.changes(from)).toEqual([]);
      expect(readdirSync(folder).sort()).toEqual(['liveness.state', 'liveness.state.sock']);
      expect(statSync(`${resume}.sock`).mode & 0o777).toBe(0o600);
      expect(statSync(resume).mode & 0o777).toBe(0o600);
    });
  }

  it('a predecessor whose event loop is blocked is disturbed in nothing, also when it reads the question late', async () => {
    const { ours, peer } = await pair();
    const from = peer.events.length;
    const next = new Agent(lab, lab.one);
    const standstill = ours.event(({ event }) => event === 'standstill');
    const end = join(folder, 'end-of-standstill');
    const blocked = ours.call('blockUntil', end);
    await standstill;
    await expect(start(next)).rejects.toMatchObject({ code: 'ERR_RESUME_BUSY' });
    writeFileSync(end, '');
    await blocked;
    rmSync(end);
    await pause(200);
    expect(await ours.sessions()).toMatchObject([{ state: 'up', routes: [{ installed: true }] }]);
    expect(ours.events.some(({ event }) => event === 'handover')).toBe(false);
    expect(peer.changes(from)).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['liveness.state', 'liveness.state.sock']);
    expect(await start(next), 'now it answers').toBe(1);
  });

  it('close leaves the sessions to a successor, unless it says AdminDown or withdraws the routes', async () => {
    const { ours, peer } = await pair();
    const from = peer.events.length;
    await ours.call('close');
    const next = new Agent(lab, lab.one);
    expect(await start(next)).toBe(1);
    expect(peer.changes(from)).toEqual([]);
    await registerService(lab, next);
    await next.event(({ to }) => to === 'up');
    await next.call('close', { withdrawRoutes: true });
    expect(readFileSync(resume)).toHaveLength(0);
    const third = new Agent(lab, lab.one);
    expect(await start(third)).toBe(0);
  });

  it('a file that is no state is a cold start that the log tells once, and one that cannot be mapped is refused', async () => {
    const { ours } = await pair();
    await ours.kill();
    const next = new Agent(lab, lab.one);
    await expect(start(next, { resume: '/proc/self/resume' })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(start(next, { resume: join(folder, 'no', 'such', 'folder') })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(start(next, { engine: 'js' })).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
    await expect(start(next, { resume: 'relative' })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
    expect(await start(next, { port: 44_881 }), 'another port').toBe(0);
    const logged = await next.call<{ message: string }[]>('logged');
    expect(logged.filter(({ message }) => message.includes('state file')).map(({ message }) => message)).toEqual([
      `the state file ${resume}: it is of another port: all sessions start cold`,
    ]);
  });
});
