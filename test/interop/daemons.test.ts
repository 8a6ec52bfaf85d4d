/** Sessions of an agent with the BFD daemons of FRR and BIRD: what is seen from both sides, and what the kernel's table has. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';

import type { Route, SessionSnapshot } from '../../ts/index.js';
import { Agent, pause } from '../netns/agent.js';
import { run } from '../netns/command.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, IS_LONG, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { Frr } from './frr.js';
import { type BfdPath, linkedLab, MULTIHOP, routedLab, SINGLE_HOP } from './paths.js';
import { type DaemonSession, type PeerDaemon, TIMERS } from './peer-daemon.js';
import { until } from './until.js';

/** How long a session is held in CI, and nightly. */
const HOLD_MS = IS_LONG ? 60_000 : 5_000;

const DAEMONS = [
  { name: 'BIRD', program: 'bird', make: (lab: Lab): PeerDaemon => new Bird(lab, lab.two) },
  { name: 'FRR', program: 'bfdd', make: (lab: Lab): PeerDaemon => new Frr(lab, lab.two) },
] as const;

const TOPOLOGIES = [
  { title: 'on one link', paths: SINGLE_HOP, makeLab: linkedLab },
  { title: 'behind a router', paths: MULTIHOP, makeLab: routedLab },
] as const;

for (const { name, program, make } of DAEMONS) {
  for (const { title, paths, makeLab } of TOPOLOGIES) {
    const reason = lacking([...LAB_PROGRAMS, program], { asRoot: true });
    describeWhere(`sessions with ${name} ${title}`, reason, () => {
      let lab: Lab;
      let daemon: PeerDaemon;
      let agent: Agent;

      beforeAll(async () => {
        lab = makeLab();
        daemon = make(lab);
        await daemon.start({ paths, timers: TIMERS });
      });
      afterAll(async () => {
        await daemon.close();
        lab.close();
      });
      beforeEach(async () => {
        agent = await startAgent(lab);
        await Promise.all(paths.map((path) => agent.register(routeOver(path), optionsOf(path))));
        await allUp();
      });
      afterEach(async () => {
        await agent.call('close', { adminDown: true, withdrawRoutes: true });
        await agent.kill();
      });

      const allUp = async (): Promise<void> => {
        await until('every session to be Up on both sides', async () => {
          const [ours, theirs] = [await mine(), daemon.sessions()];
          return paths.every((path) => ours(path)?.state === 'up' && of(theirs, path)?.state === 'up');
        });
        await until('every route to be installed', () => paths.every((path) => hasRoute(path)));
      };
      const mine = async (): Promise<(path: BfdPath) => SessionSnapshot | undefined> => {
        const sessions = await agent.call<SessionSnapshot[]>('sessions');
        return ({ theirs }) => sessions.find(({ peer }) => peer.peerIP === theirs);
      };
      const hasRoute = (path: BfdPath): boolean => listed(lab, path);
      const transitions = (from: number): string[] =>
        agent.events.slice(from).flatMap(({ event, to }) => (event === 'transition' && to !== undefined ? [to] : []));

      it('come Up with the intervals of both sides, and stay so', async () => {
        await agreed();
        const from = agent.events.length;
        await pause(HOLD_MS);
        expect(transitions(from)).toEqual([]);
        const { endpoints } = await agent.stats();
        const invalid = endpoints.flatMap(({ rxInvalid }) => Object.entries(rxInvalid).filter(([, count]) => count > 0));
        expect(invalid, 'packets that were dropped').toEqual([]);
      });

      it('go Down on both sides when the link is cut, with their routes, and come back when it is healed', async () => {
        await agreed();
        lab.cutBoth();
        await until('every session to be Down on both sides, without routes', async () => {
          const [ours, theirs] = [await mine(), daemon.sessions()];
          const isDown = (path: BfdPath): boolean => ours(path)?.state === 'down' && of(theirs, path)?.state === 'down';
          return paths.every((path) => isDown(path) && !hasRoute(path));
        });
        const ours = await mine();
        for (const path of paths) expect(ours(path)).toMatchObject({ lastDownReason: 'timeout', localDiag: 'detection_time_expired' });
        lab.healBoth();
        await allUp();
      });

      it('are Down on the side of the daemon within a second of a cut, by the intervals that the Polls of both sides agreed', async () => {
        await agreed();
        const cutAt = performance.now();
        lab.cutBoth();
        await until('the daemon to notice', () => paths.every((path) => of(daemon.sessions(), path)?.state === 'down'));
        const noticed = performance.now() - cutAt;
        lab.healBoth();
        // FRR takes other intervals when its Poll is answered, or when it answers one: without both it notices after some 3 s.
        expect(noticed).toBeLessThan(1_000);
        await allUp();
      });

      // FRR ends its Poll also when it answers one.
      if (name === 'BIRD') {
        it('hear no Poll from the daemon once both sides agree, as the one that it sent was answered', async () => {
          await agreed();
          const { name: host, iface } = lab.two;
          const port = paths === MULTIHOP ? 4_784 : 3_784;
          const filter = `udp dst port ${port} and (${paths.map(({ theirs }) => `src host ${theirs}`).join(' or ')})`;
          const seen = run('ip', ['netns', 'exec', host, 'tcpdump', '-c', '20', '-v', '-n', '-i', iface, filter]);
          expect(seen.match(/Flags: \[/g)).toHaveLength(20);
          expect(seen).not.toMatch(/Flags: \[[^\]]*Poll/);
        });
      }

      it('keep Up while the timers of the agent change, which the daemon follows', async () => {
        await agreed();
        const from = agent.events.length;
        await Promise.all(
          paths.map((path) => agent.register(routeOver(path), { ...optionsOf(path), txMin: 100, rxMin: 80, detectMult: 5 })),
        );
        await until('the daemon to follow', () => {
          const theirs = daemon.sessions();
          return paths.every((path) => of(theirs, path)?.detectTime === 500 && (name === 'FRR' || of(theirs, path)?.txInterval === 80));
        });
        await pause(1_000);
        expect(transitions(from)).toEqual([]);
      });

      it('keep Up while the timers of the daemon change, which the agent follows', async () => {
        await agreed();
        const from = agent.events.length;
        await daemon.change({ paths, timers: { tx: 120, rx: 90, multiplier: 4 } });
        await until('the agent to follow', async () => {
          const ours = await mine();
          return paths.every((path) => ours(path)?.detectTime === 480 && ours(path)?.txInterval === 90);
        });
        await pause(1_000);
        await daemon.change({ paths, timers: TIMERS });
        await agreed();
        expect(transitions(from)).toEqual([]);
      });

      it('go Down when the daemon is killed, and come back when it is started again', async () => {
        await agreed();
        await daemon.kill();
        await until('every route to be withdrawn', () => paths.every((path) => !hasRoute(path)));
        await daemon.start({ paths, timers: TIMERS });
        await allUp();
      });

      it('go Down on both sides when the agent takes a route out of service, and come back when it puts it back', async () => {
        for (const path of paths) await agent.call('adminDownRoute', routeOver(path), lab.one.iface);
        await until('the daemon to hear of it', () => paths.every((path) => of(daemon.sessions(), path)?.state === 'down'));
        expect(paths.some(hasRoute)).toBe(false);
        for (const path of paths) await agent.call('adminUpRoute', routeOver(path), lab.one.iface);
        await allUp();
      });

      // BIRD 2.0 ends a session without an AdminDown.
      it.runIf(name === 'FRR')(
        'whose daemon says AdminDown lose their routes, but for those that are to be kept, and come back',
        async () => {
          const [kept, ...others] = paths as readonly [BfdPath, ...BfdPath[]];
          await agent.register(routeOver(kept), { ...optionsOf(kept), onPeerAdminDown: 'keep' });
          await agreed();
          daemon.admin?.down();
          await until('the agent to hear of it', async () => {
            const ours = await mine();
            return paths.every((path) => ours(path)?.state === 'down' && ours(path)?.lastDownReason === 'remote_admin');
          });
          await until('routes to be withdrawn', () => !others.some(hasRoute));
          expect(hasRoute(kept), 'the route that is kept').toBe(true);
          expect((await mine())(kept)).toMatchObject({ localDiag: 'neighbour_signalled_down' });
          daemon.admin?.up();
          await allUp();
        },
      );

      /** The Poll is over on both sides, and the agreed intervals count. */
      async function agreed(): Promise<void> {
        await until('both sides to agree on 50 ms × 3', async () => {
          const [ours, theirs] = [await mine(), daemon.sessions()];
          return paths.every((path) => {
            const session = ours(path);
            return session?.polling === false && session.detectTime === 150 && of(theirs, path)?.detectTime === 150;
          });
        });
      }
    });
  }
}

async function startAgent(lab: Lab): Promise<Agent> {
  const agent = new Agent(lab, lab.one);
  await agent.call('start', { protocol: 'bfd', bindIP: ['0.0.0.0', '::'], txMin: 50, rxMin: 50, detectMult: 3 });
  return agent;
}

function routeOver({ multihop, ours, theirs, service }: BfdPath): Route {
  const isIPv6 = ours.includes(':');
  const router = isIPv6 ? '2001:db8:202:1::fe' : '10.202.1.254';
  return { table: 254, dst: service, src: ours, nextHop: multihop ? router : theirs, protocol: 186 };
}

function optionsOf({ multihop, theirs }: BfdPath): Record<string, unknown> {
  return { peerIP: theirs, ...(multihop ? { multihop } : {}) };
}

function listed(lab: Lab, { service }: BfdPath): boolean {
  const family = service.includes(':') ? '-6' : '-4';
  return run('ip', ['-n', lab.one.name, family, 'route', 'show', 'exact', service]) !== '';
}

function of(sessions: readonly DaemonSession[], { ours }: BfdPath): DaemonSession | undefined {
  return sessions.find(({ peer }) => peer === ours);
}
