/** Floods from processes that send as fast as they can, against an agent with sessions at 100 ms × 3. */
import { readFileSync } from 'node:fs';

import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';

import type { ManagerStats, Route } from '../../ts/index.js';
import { Agent, isAdd, isDelete, type LogLine, pause } from './agent.js';
import { run } from './command.js';
import { BUILD_PATIENCE_MS, buildExamples, Example } from './example.js';
import { describeLab, type Host, Lab } from './lab.js';
import { IS_LONG } from './needs.js';

const SESSIONS = 8;
const FLOOD_S = IS_LONG ? 4 : 2;
/** A flood that a test ends when it has seen enough: longer than any that passes. */
const OPEN_END_S = 60;
const STOPS = 6;
/** The kernel has long dropped packets by then, however slow the flood. */
const LONGEST_STOP_MS = 2_000;
/** Silent for that time, a session at 1 s × 3 has lost a third of its detection time; and the smallest buffer there is. */
const SLOW = { txMin: 1_000, rxMin: 1_000, maxEvents: 4 * SESSIONS };
const LOG_INTERVAL_MS = 5_000;
/** What an allocator keeps in hand is no leak; a byte kept per packet would be more than this. */
const GROWTH_BYTES = 4 << 20;

interface Flood {
  readonly kind: 'garbage' | 'unknown-peers' | 'discriminators';
  readonly sources: readonly string[];
}

interface Sent {
  readonly sent: number;
  readonly seconds: number;
}

describeLab('eight sessions at 100 ms × 3 in a flood', [], () => {
  let lab: Lab;

  beforeAll(() => {
    buildExamples('flood');
  }, BUILD_PATIENCE_MS);

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  /** The peers' addresses: host two has one per session. */
  const peers = Array.from({ length: SESSIONS }, (_, index) => `10.201.0.${11 + index}`);
  /** Whole networks of addresses that no session knows, on the same link. */
  const unknownPeers = Array.from({ length: 128 }, (_, index) => `10.201.0.${128 + index}`);

  const start = async (changes: Record<string, unknown> = {}): Promise<[Agent, Agent]> => {
    for (const address of peers) run('ip', ['-n', lab.two.name, 'addr', 'add', `${address}/24`, 'dev', lab.two.iface]);
    // Makes all of them addresses of that host.
    lab.route(lab.two, 'add', 'local', '10.201.0.128/25', 'dev', 'lo');
    const config = { bindIP: '0.0.0.0', txMin: 100, rxMin: 100, ...changes };
    const agents = (await Promise.all([lab.one, lab.two].map((host) => Agent.start(lab, host, config)))) as [Agent, Agent];
    const route = (changes: Partial<Route>): Route => ({ table: 254, dst: '', src: '', nextHop: '', protocol: 186, ...changes });
    const [one, two] = agents;
    for (const [index, peer] of peers.entries()) {
      const there = route({ dst: `10.9.2.${index}/32`, src: lab.one.address, nextHop: peer });
      const back = route({ dst: `10.9.1.${index}/32`, src: peer, nextHop: lab.one.address });
      await one.register(there, { peerIP: peer });
      await two.register(back, { peerIP: lab.one.address });
    }
    const areAdded =
      (agent: Agent): (() => boolean) =>
      () =>
        agent.events.filter(isAdd).length === SESSIONS;
    for (const agent of agents) await agent.event(areAdded(agent));
    return agents;
  };

  /** Several floods at once, a process each. */
  const startFloods = (host: Host, floods: readonly Flood[], seconds: number): Example[] => {
    return floods.map((setup) => new Example(lab, host, 'flood', { ...setup, iface: host.iface, to: lab.one.address, seconds }));
  };

  /** Floods to their end. */
  const flood = async (host: Host, floods: readonly Flood[], seconds: number): Promise<Sent> => {
    const all = await Promise.all(startFloods(host, floods, seconds).map((it) => it.read<Sent>()));
    return { sent: all.reduce((total, { sent }) => total + sent, 0), seconds: Math.max(...all.map((it) => it.seconds)) };
  };

  const endFloods = async (floods: readonly Example[]): Promise<void> => {
    for (const it of floods) expect(it.isRunning, 'the flood was not over').toBe(true);
    await Promise.all(floods.map((it) => it.kill()));
  };

  /** What the kernel dropped of what came to the sockets of a process' host: proc(5), the last column of net/udp. */
  const kernelDrops = (pid: number): number => {
    const [, ...sockets] = readFileSync(`/proc/${pid}/net/udp`, 'utf8').trimEnd().split('\n');
    return sockets.reduce((total, line) => total + Number(line.trimEnd().split(/\s+/).at(-1)), 0);
  };

  /** Stops a flooded agent until the kernel has dropped something. Gives how much it was. */
  const overflow = async (agent: Agent): Promise<number> => {
    const before = kernelDrops(agent.pid);
    agent.signal('SIGSTOP');
    try {
      const deadline = Date.now() + LONGEST_STOP_MS;
      while (kernelDrops(agent.pid) === before && Date.now() < deadline) await pause(5);
    } finally {
      agent.signal('SIGCONT');
    }
    return kernelDrops(agent.pid) - before;
  };

  const isolated = (lines: readonly LogLine[]): boolean =>
    lines.every(({ at, kind }, index) => {
      const before = lines.slice(0, index).findLast((line) => line.kind === kind);
      // The clock of the log is not the one that the lines are spaced by.
      return before === undefined || at - before.at > LOG_INTERVAL_MS - 100;
    });

  const sum = (stats: ManagerStats, count: (endpoint: ManagerStats['endpoints'][number]) => number): number =>
    stats.endpoints.reduce((total, endpoint) => total + count(endpoint), 0);
  const invalid = (stats: ManagerStats): number =>
    sum(stats, ({ rxInvalid }) => Object.values(rxInvalid).reduce((total, count) => total + count, 0));
  const unknown = (stats: ManagerStats): number => sum(stats, ({ unknownPeer }) => unknownPeer);

  const garbage: Flood = { kind: 'garbage', sources: peers };
  const unknownGarbage: Flood = { kind: 'garbage', sources: unknownPeers };
  const unknownPeerPackets: Flood = { kind: 'unknown-peers', sources: unknownPeers };
  const forged: Flood = { kind: 'discriminators', sources: peers };
  const refused = (stats: ManagerStats): number => invalid(stats) + unknown(stats);

  it.each<[string, { floods: readonly Flood[]; counted: (stats: ManagerStats) => number; timers?: Record<string, unknown> }]>([
    ['garbage from their peers', { floods: [garbage], counted: invalid }],
    ['garbage from unknown peers', { floods: [unknownGarbage], counted: refused }],
    ['packets of unknown peers', { floods: [unknownPeerPackets], counted: unknown }],
    ['their peers’ packets with discriminators that are not theirs', { floods: [forged], counted: invalid }],
    [
      'all of these from three processes at once (at 1 s × 3: who is read when so many want the cores is the scheduler’s choice)',
      { floods: [unknownGarbage, unknownPeerPackets, forged], counted: refused, timers: { txMin: 1_000, rxMin: 1_000 } },
    ],
  ])('change no state in a flood of %s, which is counted, takes no memory, and is logged once in 5 s at most', async (what, row) => {
    const agents = await start(row.timers);
    const [one] = agents;
    const quiet = (await one.call<LogLine[]>('logged')).length;
    await flood(lab.two, row.floods, 1);
    await pause(200);
    const marks = agents.map((agent) => agent.events.length);
    const before = { stats: await one.stats(), usage: await one.usage() };
    const sent = await flood(lab.two, row.floods, FLOOD_S);
    const usage = await one.usage();
    await pause(500);
    const stats = await one.stats();
    const figures = {
      sentPerSecond: Math.round(sent.sent / sent.seconds),
      countedPerSecond: Math.round((row.counted(stats) - row.counted(before.stats)) / sent.seconds),
      socketDrops: stats.socketDrops - before.stats.socketDrops,
      extensions: sum(stats, ({ extensions }) => extensions) - sum(before.stats, ({ extensions }) => extensions),
      cpuShare: Number(((usage.cpu - before.usage.cpu) / sent.seconds / 1e6).toFixed(2)),
      rssGrowthKiB: (usage.rss - before.usage.rss) / 1024,
      worstTurnDelayMs: stats.worstTurnDelay,
    };
    console.info(what, JSON.stringify(figures));

    agents.forEach((agent, index) => expect(agent.events.slice(marks[index])).toEqual([]));
    const missed = sent.sent - figures.socketDrops;
    expect(row.counted(stats) - row.counted(before.stats), 'what was not dropped is counted').toBeGreaterThanOrEqual(missed * 0.99);
    expect(usage.rss - before.usage.rss).toBeLessThan(GROWTH_BYTES);
    const lines = (await one.call<LogLine[]>('logged')).slice(quiet);
    expect(isolated(lines), JSON.stringify(lines)).toBe(true);
  });

  it('change no state while the socket overflows again and again because this process is not run', async () => {
    const agents = await start(SLOW);
    const [one] = agents;
    const marks = agents.map((agent) => agent.events.length);
    // In all but their discriminators these are packets of peers.
    const flooding = startFloods(lab.two, [forged], OPEN_END_S);
    const dropped: number[] = [];
    for (let stop = 0; stop < STOPS; stop += 1) {
      await pause(400);
      dropped.push(await overflow(one));
    }
    await endFloods(flooding);
    await pause(500);
    expect(Math.min(...dropped), `drops of each stop: ${dropped.join(', ')}`).toBeGreaterThan(0);
    expect((await one.stats()).socketDrops).toBeGreaterThanOrEqual(dropped.reduce((total, count) => total + count, 0));
    agents.forEach((agent, index) => expect(agent.events.slice(marks[index])).toEqual([]));
  });

  it('come Up and go Down as their peers do while the socket filter keeps the flood out of the socket', async () => {
    const agents = await start(SLOW);
    const [one, two] = agents;
    const refusedBy = async (agent: Agent): Promise<{ read: number; dropped: number }> => {
      const stats = await agent.stats();
      return { read: refused(stats), dropped: stats.socketDrops };
    };
    const flooding = startFloods(lab.two, [unknownGarbage, unknownPeerPackets], OPEN_END_S);
    await pause(1_000);
    expect(await overflow(one)).toBeGreaterThan(0);
    await expect
      .poll(async () => (await one.call<LogLine[]>('logged')).map(({ message }) => message), { timeout: 5_000 })
      .toContainEqual(expect.stringContaining('the kernel drops it unread'));
    const before = await refusedBy(one);
    await expect.poll(async () => (await refusedBy(one)).dropped - before.dropped, { timeout: 5_000 }).toBeGreaterThan(10_000);
    const after = await refusedBy(one);
    expect(after.read - before.read).toBeLessThan((after.dropped - before.dropped) / 10);

    const late = { dst: '10.9.3.1/32', src: lab.one.address, nextHop: lab.two.address, table: 254, protocol: 186 };
    const marks = agents.map((agent) => agent.events.length);
    await one.register(late, { peerIP: lab.two.address });
    await two.register({ ...late, dst: '10.9.3.2/32', src: lab.two.address, nextHop: lab.one.address }, { peerIP: lab.one.address });
    await one.event((event) => isAdd(event) && event.route?.dst === late.dst, marks[0]);
    two.signal('SIGSTOP');
    await one.event(() => one.events.slice(marks[0]).filter(isDelete).length === SESSIONS + 1, marks[0]);
    two.signal('SIGCONT');
    await one.event(() => one.events.slice(marks[0]).filter(isAdd).length === SESSIONS + 2, marks[0]);
    await endFloods(flooding);

    // After a second without a drop everything is read and counted again. A flood that begins sooner is dropped, too.
    const readOfAFlood = async (): Promise<number> => {
      const before = await refusedBy(one);
      await flood(lab.two, [unknownPeerPackets], 1);
      await pause(500);
      return (await refusedBy(one)).read - before.read;
    };
    await expect.poll(readOfAFlood, { timeout: 30_000, interval: 3_000 }).toBeGreaterThan(1_000);
  });
});
