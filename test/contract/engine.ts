/** What two hosts have to do for each other, whichever engines they run: real sockets, real kernel routes. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Agent, type AgentEvent, isAdd, isDelete, pause, registerService, serviceRoute, startPair as startPairOn } from '../netns/agent.js';
import { type Addressing, describeLab, type Host, Lab } from '../netns/lab.js';
import { run } from '../netns/command.js';
import { ArrivalMonitor, RouteMonitor } from '../netns/monitor.js';
import type { ManagerStats } from '../../ts/index.js';

export type EngineKind = 'native' | 'js';

/** What is promised on top of the detection time, with room for a busy machine: the figures are the bench's. */
const WITHDRAWAL_SLACK_MS = 250;
const DETECT_MS = 150;
/** A packet that was under way when a session went Down takes it to Init once more, for some seconds. */
const INIT_IS_OVER = { timeout: 10_000 };

/** What the hosts speak, and by which addresses. Default: the liveness protocol over IPv4. */
export interface ContractOptions {
  readonly protocol?: 'liveness' | 'bfd';
  readonly addressing?: Addressing;
}

export function engineContract(engineOne: EngineKind, engineTwo: EngineKind, options: ContractOptions = {}): void {
  const { protocol = 'liveness', addressing = 'IPv4' } = options;
  const isLiveness = protocol === 'liveness';
  const port = isLiveness ? 44_880 : 3_784;
  const title = `two hosts, ${engineOne} and ${engineTwo}, ${isLiveness ? '' : 'with BFD '}over ${addressing}`;

  describeLab(title, ['nft', 'tcpdump'], () => {
    let lab: Lab;

    beforeEach(() => {
      lab = new Lab({ addressing });
    });

    afterEach(() => {
      lab.close();
    });

    const engineOf = (host: Host): EngineKind => (host === lab.one ? engineOne : engineTwo);
    /** A manager that speaks IPv6 takes no link-local address to bind. Node tells no packet's TTL. */
    const configOf = (host: Host): Record<string, unknown> => ({
      ...{ engine: engineOf(host), protocol },
      ...(addressing === 'link-local' ? { bindIP: '::' } : {}),
      ...(!isLiveness && engineOf(host) === 'js' ? { minTtl: 1 } : {}),
    });
    const start = (host: Host, config: Record<string, unknown> = {}): Promise<Agent> =>
      Agent.start(lab, host, { ...configOf(host), ...config });
    const startBoth = (): Promise<Agent[]> => Promise.all([lab.one, lab.two].map((host) => start(host)));
    const startPair = (config: Record<string, unknown> = {}): Promise<[Agent, Agent]> =>
      startPairOn(lab, (host) => ({ ...configOf(host), ...config }));

    it('install their routes within a second of registration', async () => {
      const agents = await startBoth();
      const began = Date.now();
      await Promise.all(agents.map((agent) => registerService(lab, agent)));
      await Promise.all(agents.map((agent) => agent.event(isAdd)));
      expect(Date.now() - began).toBeLessThan(1_000);
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      expect(lab.routes(lab.two)).toMatchObject([{ dst: lab.one.service, gateway: lab.one.address, protocol: '186' }]);
    });

    it('come Up with sessions that have no route, which a route then shares', async () => {
      const agents = await startBoth();
      await Promise.all(
        agents.map((agent) =>
          agent.call('registerSession', { iface: agent.host.iface, localIP: agent.host.address, peerIP: lab.other(agent.host).address }),
        ),
      );
      await Promise.all(agents.map((agent) => agent.state('up')));
      for (const host of [lab.one, lab.two]) expect(lab.routes(host)).toEqual([]);
      const [one] = agents;
      if (one === undefined) return;
      await registerService(lab, one);
      await one.event(isAdd);
      await one.call('withdrawRoute', serviceRoute(lab, one.host), one.host.iface);
      expect(lab.routes(lab.one)).toEqual([]);
      expect(await one.sessions()).toMatchObject([{ state: 'up', routes: [] }]);
    });

    it('send with the TOS of network control and TTL 255', async () => {
      await startPair();
      for (const from of [lab.one, lab.two]) {
        const args = ['-c', '5', '-v', '-n', '-i', from.iface, `udp dst port ${port} and src host ${from.address}`];
        const seen = run('ip', ['netns', 'exec', from.name, 'tcpdump', ...args]);
        expect(seen.match(addressing === 'IPv4' ? /tos 0xc0, ttl 255/g : /class 0xc0, .*hlim 255/g), engineOf(from)).toHaveLength(5);
      }
    });

    it('withdraw their routes one detection time after the last packet arrived, and not sooner', async () => {
      await startPair();
      const arrivals = await ArrivalMonitor.start(lab, lab.one);
      const routes = new RouteMonitor(lab, lab.one);
      await pause(300);
      const cutAt = Date.now();
      lab.cutBoth();
      const gone = await routes.notice('delete', lab.two.service, cutAt);
      const after = gone.at - arrivals.last;
      expect(after).toBeGreaterThanOrEqual(DETECT_MS - 1);
      expect(after).toBeLessThan(DETECT_MS + WITHDRAWAL_SLACK_MS);
      expect(lab.has(lab.one, lab.two.service)).toBe(false);
    });

    it.each(['one', 'two'] as const)(
      'both go Down when only the packets of host %s are cut, and stay Down until it heals',
      async (side) => {
        const agents = await startPair();
        const marks = agents.map((agent) => agent.events.length);
        lab.cut(lab[side]);
        await Promise.all(agents.map((agent, index) => agent.event(isDelete, marks[index])));
        await pause(2_000);
        for (const host of [lab.one, lab.two]) expect(lab.routes(host)).toEqual([]);
        const healed = agents.map((agent) => agent.events.length);
        lab.heal(lab[side]);
        await Promise.all(agents.map((agent, index) => agent.event(isAdd, healed[index])));
      },
    );

    it.each(['one', 'two'] as const)('come back after host %s was killed and started again', async (side) => {
      const [one, two] = await startPair();
      const [victim, survivor] = side === 'one' ? [one, two] : [two, one];
      const mark = survivor.events.length;
      await victim.kill();
      await survivor.event(isDelete, mark);
      const reborn = await start(victim.host);
      await registerService(lab, reborn);
      await Promise.all([reborn.event(isAdd), survivor.event(isAdd, mark)]);
      for (const host of [lab.one, lab.two]) expect(lab.has(host, lab.other(host).service)).toBe(true);
    });

    it('go Down at once when one announces AdminDown, with the reason', async () => {
      const [one, two] = await startPair({ txMin: 1_000, rxMin: 1_000 });
      const mark = two.events.length;
      await one.call('close', { adminDown: true });
      const down = await two.state('down', mark);
      expect(down.reason).toBe('remote_admin');
      await two.event(isDelete, mark);
    });

    it('tell a session whose peer was never there from one that went Down', async () => {
      const one = await start(lab.one);
      await registerService(lab, one);
      expect(await one.sessions()).toMatchObject([{ state: 'down', everUp: false, flaps: 0 }]);
      const two = await start(lab.two);
      await registerService(lab, two);
      expect((await one.state('up')).everUp).toBe(true);
      const mark = one.events.length;
      await two.kill();
      expect((await one.state('down', mark)).everUp).toBe(true);
      expect(await one.sessions()).toMatchObject([{ state: 'down', everUp: true, flaps: 1 }]);
    });

    it('keep a route that is held through a Down, until the hold is released, and answer a ping meanwhile', async () => {
      const [one, two] = await startPair();
      await one.call('hold', { duration: 60_000 });
      const [mark, other] = [one.events.length, two.events.length];
      lab.cutBoth();
      expect(await one.state('down', mark)).toMatchObject({ everUp: true });
      await two.event(isDelete, other);
      await one.call('ping');
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      await expect
        .poll(() => one.sessions(), INIT_IS_OVER)
        .toMatchObject([{ state: 'down', everUp: true, flaps: 1, routes: [{ installed: true }] }]);
      await one.call('release');
      await one.event(isDelete, mark);
      expect(lab.has(lab.one, lab.two.service)).toBe(false);
    });

    it('install a route again only when its session has stayed Up for holdUp, and tell until when it waits', async () => {
      const agents = await startPair({ holdUp: 2_000 });
      const [one] = agents;
      const mark = one.events.length;
      lab.cutBoth();
      await one.event(isDelete, mark);
      lab.healBoth();
      const upAt = Date.parse(String((await one.state('up', mark)).at));
      expect((await one.sessions())[0]).toMatchObject({ state: 'up', routes: [{ installed: false }] });
      // The thread that keeps routes hears of the session after JavaScript may have.
      const waitsUntil = async (): Promise<number> => Date.parse(String((await one.sessions())[0]?.routes[0]?.suppressedUntil));
      await expect.poll(async () => (await waitsUntil()) - upAt).toBeGreaterThan(1_000);
      const added = await one.event(isAdd, mark);
      expect(added.at - upAt).toBeGreaterThanOrEqual(2_000 - 100);
      expect((await one.sessions())[0]?.routes[0]).toMatchObject({ installed: true });
    });

    it('move a route to its backup when its session goes Down and back when it is Up, without a moment in which it is gone', async () => {
      const agents = await startBoth();
      const [one, two] = agents as [Agent, Agent];
      // Another host of the link, which is not there: only the tables are looked at.
      const elsewhere = `${lab.two.address}7`;
      const gateways = (): unknown[] => lab.routes(lab.one).map(({ gateway }) => gateway);
      await one.register(serviceRoute(lab, lab.one), { peerIP: lab.two.address, backup: { nextHop: elsewhere, iface: lab.one.iface } });
      await registerService(lab, two);
      await one.event((event) => isAdd(event) && event.leg === 'primary');
      const routes = new RouteMonitor(lab, lab.one);
      await pause(300);
      const mark = one.events.length;
      lab.cutBoth();
      await one.event((event) => isAdd(event) && event.leg === 'backup', mark);
      await expect.poll(gateways).toEqual([elsewhere]);
      await expect
        .poll(() => one.sessions(), INIT_IS_OVER)
        .toMatchObject([{ state: 'down', routes: [{ installed: true, leg: 'backup' }] }]);
      lab.healBoth();
      await one.event((event) => isAdd(event) && event.leg === 'primary', mark);
      await expect.poll(gateways).toEqual([lab.two.address]);
      await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
      expect(gateways()).toEqual([]);
      const told = (): string[] => routes.notices.map(({ op }) => op);
      await expect.poll(told).toEqual(['add', 'delete', 'add', 'delete', 'delete']);
    });

    it('keep the routes of all sessions that fall at once for a while, and then withdraw them', async () => {
      const [one, two] = await startPair({ massDown: { share: 0.5, within: 100, hold: 2_000 } });
      const [mark, other] = [one.events.length, two.events.length];
      lab.cutBoth();
      const downAt = Date.parse(String((await one.state('down', mark)).at));
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      const gone = await one.event(isDelete, mark);
      expect(gone.at - downAt).toBeGreaterThanOrEqual(2_000 - 100);
      await two.event(isDelete, other);
    });

    it('recover after an outage within the bound of the shorter backed-off interval', async () => {
      const agents = await startPair();
      lab.cutBoth();
      await pause(3_000);
      for (const host of [lab.one, lab.two]) expect(lab.routes(host)).toEqual([]);
      const marks = agents.map((agent) => agent.events.length);
      lab.healBoth();
      const healedAt = Date.now();
      const back = await Promise.all(agents.map((agent, index) => agent.event(isAdd, marks[index])));
      for (const { at } of back) expect(at - healedAt).toBeLessThan(1_300);
    });

    it('withdraw a route that goes out of service, and install it again when it is back', async () => {
      const [one, two] = await startPair();
      const route = serviceRoute(lab, lab.one);
      const marks = [one.events.length, two.events.length];
      await one.call('adminDownRoute', route, lab.one.iface);
      await Promise.all([one.event(isDelete, marks[0]), two.event(isDelete, marks[1])]);
      expect(await one.sessions()).toMatchObject([{ state: 'admin_down', routes: [{ adminDown: true, installed: false }] }]);
      await one.call('adminUpRoute', route, lab.one.iface);
      await Promise.all([one.event(isAdd, marks[0]), two.event(isAdd, marks[1])]);
    });

    it('only observe in passive mode: the route stays through an outage and is deleted by its withdrawal', async () => {
      const [one, two] = await startPair({ passiveMode: true });
      await Promise.all([one.state('up'), two.state('up')]);
      lab.cutBoth();
      await Promise.all([one.state('down', 1), two.state('down', 1)]);
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
      expect(lab.routes(lab.one)).toEqual([]);
    });

    // No packet of BFD says that its sender is passive.
    if (isLiveness) {
      it('keep the route of a passive peer with honorPeerAdvertisedPassive', async () => {
        const active = await start(lab.one, { honorPeerAdvertisedPassive: true });
        const passive = await start(lab.two, { passiveMode: true, clientVersion: '1.2.3-dev' });
        await registerService(lab, active);
        await registerService(lab, passive);
        await active.event(isAdd);
        lab.cutBoth();
        await active.state('down', 2);
        await pause(200);
        expect(lab.has(lab.one, lab.two.service)).toBe(true);
        expect(await active.sessions()).toMatchObject([{ peerMode: 'passive', peerVersion: '1.2.3-dev', routes: [{ installed: true }] }]);
      });
    }

    it('withdraw: when the call returns, the route and its session are gone', async () => {
      const [one, two] = await startPair();
      await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
      expect(lab.routes(lab.one)).toEqual([]);
      expect(await one.sessions()).toEqual([]);
      await two.event(isDelete);
      await one.call('withdrawRoute', serviceRoute(lab, lab.one), lab.one.iface);
    });

    it('move all routes that share a session, and withdraw one without the others', async () => {
      const [one] = await startPair();
      const options = { peerIP: lab.two.address };
      const elsewhere = serviceRoute(lab, lab.one, { table: 100 });
      const behind = serviceRoute(lab, lab.one, { priority: 50 });
      await one.register(elsewhere, options);
      await one.register(behind, options);
      await one.event((event) => isAdd(event) && event.route?.table === 100);
      await one.event((event) => isAdd(event) && event.route?.priority === 50);
      expect(await one.sessions()).toHaveLength(1);

      const mark = one.events.length;
      lab.cutBoth();
      for (const moved of [elsewhere, behind, serviceRoute(lab, lab.one)]) {
        const fits = ({ route }: AgentEvent): boolean => route?.table === moved.table && route.priority === moved.priority;
        await one.event((event) => isDelete(event) && fits(event), mark);
      }
      expect([...lab.routes(lab.one), ...lab.routes(lab.one, '100')]).toEqual([]);
      lab.healBoth();
      await one.event((event) => isAdd(event) && event.route?.priority === 50, mark);

      await one.call('withdrawRoute', behind, lab.one.iface);
      await one.call('withdrawRoute', elsewhere, lab.one.iface);
      expect(lab.routes(lab.one)).toMatchObject([{ dst: lab.two.service }]);
      expect(lab.routes(lab.one, '100')).toEqual([]);
      expect(await one.sessions()).toMatchObject([{ state: 'up' }]);
    });

    const occupy = (host: Host): void => {
      lab.route(host, 'add', lab.prefix(lab.other(host)), 'via', lab.other(host).address, 'dev', host.iface, 'proto', '42');
    };

    it('never change a foreign route in their slot, report it, and install theirs when it is gone', async () => {
      occupy(lab.one);
      const agents = await startBoth();
      await Promise.all(agents.map((agent) => registerService(lab, agent)));
      const [one] = agents as [Agent, Agent];
      const refused = await one.event((event) => event.op === 'add' && event.ok === false);
      expect(refused.error).toMatchObject({ code: 'ERR_ROUTE_CONFLICT' });
      expect(await one.sessions()).toMatchObject([
        { state: 'up', routes: [{ installed: false, lastError: { code: 'ERR_ROUTE_CONFLICT' } }] },
      ]);

      lab.cutBoth();
      await one.state('down', 2);
      await pause(200);
      expect(lab.routes(lab.one)).toMatchObject([{ protocol: '42' }]);
      lab.healBoth();
      await one.state('up', one.events.length);
      lab.route(lab.one, 'del', lab.prefix(lab.two));
      await one.event(isAdd);
      expect(lab.routes(lab.one)).toMatchObject([{ protocol: '186' }]);
    });

    it('replace a foreign route with takeOver', async () => {
      occupy(lab.one);
      await startPair({ takeOver: true });
      expect(lab.routes(lab.one)).toMatchObject([{ protocol: '186' }]);
    });

    it('take over the route of a previous process in the slot', async () => {
      const [one] = await startPair();
      await one.kill();
      expect(lab.has(lab.one, lab.two.service)).toBe(true);
      const reborn = await start(lab.one);
      await registerService(lab, reborn);
      await reborn.event(isAdd);
      expect(lab.routes(lab.one)).toHaveLength(1);
    });

    it('work again on an interface that was removed and created again', async () => {
      const agents = await startPair();
      const marks = agents.map((agent) => agent.events.length);
      lab.removeLink();
      await Promise.all(agents.map((agent, index) => agent.state('down', marks[index])));
      await pause(500);
      lab.makeLink();
      await Promise.all(agents.map((agent, index) => agent.event(isAdd, marks[index])));
      for (const host of [lab.one, lab.two]) expect(lab.has(host, lab.other(host).service)).toBe(true);
    });

    it('count what became of their sessions and routes', async () => {
      const [one, two] = await startPair();
      const mark = one.events.length;
      await two.kill();
      await one.event(isDelete, mark);
      const { endpoints, routes, turns, turnDelays, transmitDelays } = await one.call<ManagerStats>('stats');
      const here = { iface: one.host.iface, localIP: one.host.address };
      const endpoint = endpoints.find(({ localIP }) => localIP === here.localIP);
      expect(endpoint).toMatchObject({ ...here, sessions: { admin_down: 0, down: 1, init: 0, up: 0 }, neverUp: 0 });
      if (endpoint === undefined) return;
      const { transitions, handleRx, tx, rx, timeouts, localDiagnostics } = endpoint;
      expect(transitions).toContainEqual({ from: 'new', to: 'down', cause: 'register_route', count: 1 });
      const timedOut = transitions.filter(({ to, cause }) => to === 'down' && cause === 'detect_timeout');
      expect(timedOut.map(({ from }) => from)).toContain('up');
      expect(sum(timedOut.map(({ count }) => count))).toBe(timeouts);
      expect(localDiagnostics).toEqual(isLiveness ? [] : [0, timeouts, ...Array<number>(7).fill(0)]);
      expect(Math.min(tx, rx, turns)).toBeGreaterThan(0);
      expect(handleRx.counts).toHaveLength(handleRx.bounds.length + 1);
      expect(sum(handleRx.counts)).toBeGreaterThanOrEqual(rx);
      for (const delays of [turnDelays, transmitDelays]) {
        const bounds = delays.map(({ below }) => below);
        expect(bounds).toEqual(bounds.toSorted((left, right) => left - right));
      }
      expect(routes).toMatchObject({
        registered: 1,
        installed: 0,
        endpoints: [{ ...here, installed: 0, addFailures: 0, deleteFailures: 0 }],
      });
      const { adds = 0, deletes, convergenceToUp, convergenceToDown } = routes.endpoints[0] ?? {};
      expect(adds).toBeGreaterThan(0);
      expect(deletes).toBe(adds);
      expect([sum(convergenceToUp?.counts ?? []), sum(convergenceToDown?.counts ?? [])]).toEqual([adds, deletes]);
    });

    it('drop packets of unknown peers without an answer', async () => {
      const [one] = await startPair();
      const mark = one.events.length;
      const garbage =
        "const [to,port]=process.argv.slice(1);const s=require('dgram').createSocket(to.includes(':')?'udp6':'udp4');let n=0;const t=setInterval(()=>{s.send(Buffer.alloc(40,n),port,to);if(++n>200){clearInterval(t);s.close()}},1)";
      const to = addressing === 'link-local' ? `${lab.one.address}%${lab.two.iface}` : lab.one.address;
      const sender = lab.spawn(lab.two, process.execPath, ['-e', garbage, to, String(port)]);
      await new Promise((resolve) => sender.once('exit', resolve));
      await pause(200);
      expect(one.events.slice(mark)).toEqual([]);
      const stats = await one.call<ManagerStats>('stats');
      const invalid = sum(stats.endpoints.flatMap((endpoint) => Object.values(endpoint.rxInvalid)));
      expect(invalid).toBeGreaterThan(100);
    });
  });
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
