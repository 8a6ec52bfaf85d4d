/** Restarts that no peer notices: after a crash, after a close, and while the predecessor lives. Each test has a lab of its own: they run at once. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { it, type TestContext } from 'vitest';

import { Agent, isAdd, pause, registerService, serviceRoute } from './agent.js';
import { describeLab, Lab } from './lab.js';
import { RouteMonitor } from './monitor.js';

/** A detection time of many seconds: no test depends on how soon a process starts. */
const SLOW = { txMin: 200, rxMin: 200, detectMult: 60 };

/** Routes to here tell from when on, and up to when, the kernel's notices were heard. */
const MARKS = '10.250.0.';

/** A lab, and a folder for the state file of the agents on host one. */
class Scene {
  readonly lab = new Lab();
  readonly folder = mkdtempSync(join(tmpdir(), 'resume-'));
  readonly resume = join(this.folder, 'liveness.state');
  readonly #expect: TestContext['expect'];

  constructor({ expect, onTestFinished }: TestContext) {
    this.#expect = expect;
    onTestFinished(() => {
      this.lab.close();
      rmSync(this.folder, { recursive: true });
    });
  }

  /** So many processes on host one, which will be the agents there one after the other. */
  agents(count: number): Agent[] {
    return Array.from({ length: count }, () => new Agent(this.lab, this.lab.one));
  }

  /** Gives the number of sessions that go on. */
  async start(agent: Agent, changes: Record<string, unknown> = {}): Promise<number> {
    await agent.call('start', { bindIP: agent.host.address, ...SLOW, resume: this.resume, ...changes });
    return agent.call('resumed');
  }

  /** Makes an agent and a peer come Up. */
  async pair(ours: Agent, changes: Record<string, unknown> = {}): Promise<Agent> {
    const { lab } = this;
    const peer = new Agent(lab, lab.two);
    const peerStarts = peer.call('start', { bindIP: lab.two.address, ...SLOW, ...changes });
    this.#expect(await this.start(ours, changes)).toBe(0);
    await peerStarts;
    await Promise.all([registerService(lab, ours), registerService(lab, peer)]);
    await Promise.all([ours.event(isAdd), peer.event(isAdd)]);
    return peer;
  }

  /** Makes an agent go on with the session of its predecessor, whatever became of that. */
  async goOn(agent: Agent, changes: Record<string, unknown> = {}): Promise<void> {
    this.#expect(await this.start(agent, changes)).toBe(1);
    await registerService(this.lab, agent);
    const up = await agent.event(({ to }) => to === 'up');
    this.#expect(up).toMatchObject({ from: 'admin_down', everUp: true });
    await this.#expect.poll(async () => (await agent.sessions())[0]?.routes[0]?.installed).toBe(true);
  }

  /** The notices of the kernel on host one about routes, from a mark that is made now to one that is made when they are asked for. */
  async watch(): Promise<() => Promise<string[]>> {
    const { lab } = this;
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
  }
}

describeLab('a restart with a state file', [], () => {
  it.concurrent.for(['liveness', 'bfd'])(
    '%s: through kill -9 and hand-overs by processes that live, the peer sees no transition and the route stays in the kernel',
    async (protocol, context) => {
      const { expect } = context;
      const scene = new Scene(context);
      const { lab, folder, resume } = scene;
      const [first, second, third, fourth, last] = scene.agents(5) as [Agent, Agent, Agent, Agent, Agent];
      const peer = await scene.pair(first, { protocol });
      const notices = await scene.watch();
      const from = peer.events.length;

      await first.kill();
      await scene.goOn(second, { protocol });
      await second.kill();
      await scene.goOn(third, { protocol });

      // A predecessor that lives closes, and keeps its route.
      await scene.goOn(fourth, { protocol });
      await third.event(({ event }) => event === 'handover');
      await third.call('closed');
      await expect(third.sessions()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
      // It listens itself, and hands over in its turn.
      await scene.goOn(last, { protocol });
      await fourth.event(({ event }) => event === 'handover');
      expect(readdirSync(folder).sort()).toEqual(['liveness.state', 'liveness.state.sock']);
      expect(statSync(`${resume}.sock`).mode & 0o777).toBe(0o600);
      expect(statSync(resume).mode & 0o777).toBe(0o600);

      expect(await notices()).toEqual([]);
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      expect(peer.changes(from)).toEqual([]);
      await last.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
      expect(lab.has(lab.one, lab.two.service)).toBe(false);
      expect(await notices(), 'the notices are heard').toEqual([`delete ${lab.two.service}`]);
    },
  );

  it.concurrent(
    'a predecessor whose event loop is blocked is disturbed in nothing, also when it reads the question late',
    async (context) => {
      const { expect } = context;
      const scene = new Scene(context);
      const { folder } = scene;
      const [ours, next] = scene.agents(2) as [Agent, Agent];
      const peer = await scene.pair(ours);
      const from = peer.events.length;
      const standstill = ours.event(({ event }) => event === 'standstill');
      const end = join(folder, 'end-of-standstill');
      const blocked = ours.call('blockUntil', end);
      await standstill;
      await expect(scene.start(next)).rejects.toMatchObject({ code: 'ERR_RESUME_BUSY' });
      writeFileSync(end, '');
      await blocked;
      rmSync(end);
      await pause(200);
      expect(await ours.sessions()).toMatchObject([{ state: 'up', routes: [{ installed: true }] }]);
      expect(ours.events.some(({ event }) => event === 'handover')).toBe(false);
      expect(peer.changes(from)).toEqual([]);
      expect(readdirSync(folder).sort()).toEqual(['liveness.state', 'liveness.state.sock']);
      expect(await scene.start(next), 'now it answers').toBe(1);
    },
  );

  it.concurrent('close leaves the sessions to a successor, unless it says AdminDown or withdraws the routes', async (context) => {
    const { expect } = context;
    const scene = new Scene(context);
    const [ours, next, third] = scene.agents(3) as [Agent, Agent, Agent];
    const peer = await scene.pair(ours);
    const from = peer.events.length;
    await ours.call('close');
    await scene.goOn(next);
    expect(peer.changes(from)).toEqual([]);
    await next.call('close', { withdrawRoutes: true });
    expect(readFileSync(scene.resume)).toHaveLength(0);
    expect(await scene.start(third)).toBe(0);
  });

  it.concurrent(
    'a file that is no state is a cold start that the log tells once, and one that cannot be mapped is refused',
    async (context) => {
      const { expect } = context;
      const scene = new Scene(context);
      const { folder, resume } = scene;
      const [ours, next] = scene.agents(2) as [Agent, Agent];
      await scene.pair(ours);
      await ours.kill();
      await expect(scene.start(next, { resume: '/proc/self/resume' })).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(scene.start(next, { resume: join(folder, 'no', 'such', 'folder') })).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(scene.start(next, { engine: 'js' })).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
      await expect(scene.start(next, { resume: 'relative' })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
      expect(await scene.start(next, { port: 44_881 }), 'another port').toBe(0);
      const logged = await next.call<{ message: string }[]>('logged');
      expect(logged.filter(({ message }) => message.includes('state file')).map(({ message }) => message)).toEqual([
        `the state file ${resume}: it is of another port: all sessions start cold`,
      ]);
    },
  );
});
