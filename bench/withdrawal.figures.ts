/** How soon a route is gone after a cut, back after a heal, and back after a restart: between two hosts, by the kernel's word. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Bird } from '../test/interop/bird.js';
import { Frr } from '../test/interop/frr.js';
import { type BfdPath, SINGLE_HOP } from '../test/interop/paths.js';
import type { PeerDaemon } from '../test/interop/peer-daemon.js';
import { Agent, isAdd, pause, registerService, startPair } from '../test/netns/agent.js';
import { run } from '../test/netns/command.js';
import { Lab } from '../test/netns/lab.js';
import { ArrivalMonitor, RouteMonitor } from '../test/netns/monitor.js';

const DETECT_MS = 150;
const ROUNDS = 10;

let lab: Lab;

beforeEach(() => {
  lab = new Lab();
});

afterEach(() => {
  lab.close();
});

function show(what: string, values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length / 2;
  const median = ((sorted[Math.floor(middle - 0.5)] ?? NaN) + (sorted[Math.ceil(middle - 0.5)] ?? NaN)) / 2;
  const [least, most] = [sorted[0] ?? NaN, sorted.at(-1) ?? NaN];
  console.log(`${what.padEnd(72)} median ${median.toFixed(2)} ms  [${least.toFixed(2)} … ${most.toFixed(2)}]  n ${values.length}`);
  return median;
}

it.each([false, true])('withdrawal after a cut (JavaScript blocked: %s)', async (blocked) => {
  const [one, two] = await startPair(lab);
  const arrivals = await ArrivalMonitor.start(lab, lab.one);
  const routes = new RouteMonitor(lab, lab.one);
  const beyond: number[] = [];
  const back: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause(500 + round * 7);
    const block = blocked ? one.call('block', 1_500) : undefined;
    await pause(100);
    const cutAt = Date.now();
    lab.cutBoth();
    const gone = await routes.notice('delete', lab.two.service, cutAt);
    // tcpdump prints a little later than the kernel stamps.
    await pause(100);
    beyond.push(gone.at - arrivals.last - DETECT_MS);
    await block;
    const marks = [one.events.length, two.events.length];
    const healedAt = Date.now();
    lab.healBoth();
    const added = await routes.notice('add', lab.two.service, healedAt);
    back.push(added.at - healedAt);
    await Promise.all([one, two].map((agent, index) => agent.event(isAdd, marks[index])));
  }
  const how = blocked ? ', JavaScript blocked' : '';
  expect(show(`route gone, beyond detection time from the last arrival${how}`, beyond)).toBeLessThan(20);
  expect(Math.max(...back)).toBeLessThan(1_300);
  show(`route back after the heal of a short outage${how}`, back);
});

it.each([0, 200_000])('withdrawal with a conflict that is tried again and again, in a table of %i other routes', async (count) => {
  const lines = Array.from({ length: count }, (_, index) => {
    const dst = `172.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`;
    return `route add ${dst} via ${lab.two.address} dev ${lab.one.iface} proto 42`;
  });
  if (count > 0) run('ip', ['-n', lab.one.name, '-batch', '-'], `${lines.join('\n')}\n`);
  const [one, two] = await startPair(lab);
  // Somebody else's route stands in the slot of another registered one, in a table that no rule leads to.
  const contested = { table: 4_242, dst: '10.77.0.1/32', src: lab.one.address, nextHop: lab.two.address, protocol: 186 };
  run('ip', ['-n', lab.one.name, 'route', 'add', contested.dst, 'via', lab.two.address, 'table', '4242', 'proto', '42']);
  await one.register(contested, { peerIP: lab.two.address });
  const arrivals = await ArrivalMonitor.start(lab, lab.one);
  const routes = new RouteMonitor(lab, lab.one);
  const beyond: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause(300 + round * 37);
    const cutAt = Date.now();
    lab.cutBoth();
    const gone = await routes.notice('delete', lab.two.service, cutAt);
    await pause(100);
    beyond.push(gone.at - arrivals.last - DETECT_MS);
    const marks = [one.events.length, two.events.length];
    lab.healBoth();
    await Promise.all([one, two].map((agent, index) => agent.event(isAdd, marks[index])));
  }
  expect(show(`route gone, with a conflict beside ${count} other routes`, beyond)).toBeLessThan(20);
});

it('recovery from an outage of ten seconds', async () => {
  await startPair(lab);
  const routes = new RouteMonitor(lab, lab.one);
  const back: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    lab.cutBoth();
    await pause(10_000 + round * 130);
    const healedAt = Date.now();
    lab.healBoth();
    back.push((await routes.notice('add', lab.two.service, healedAt)).at - healedAt);
    await pause(500);
  }
  expect(Math.max(...back)).toBeLessThan(1_300);
  show('route back after the heal of an outage of 10 s', back);
});

it('installation after registration', async () => {
  const agents = await Promise.all([lab.one, lab.two].map((host) => Agent.start(lab, host)));
  const routes = new RouteMonitor(lab, lab.one);
  await pause(300);
  const began = Date.now();
  await Promise.all(agents.map((agent) => registerService(lab, agent)));
  const added = await routes.notice('add', lab.two.service, began);
  expect(show('route installed after registration', [added.at - began])).toBeLessThan(1_000);
});

it('restarts of either side', async () => {
  let pair = await startPair(lab);
  const took: number[] = [];
  for (let round = 0; round < 2 * ROUNDS; round += 1) {
    const victim = round % 2;
    const survivor = pair[1 - victim] as Agent;
    const host = victim === 0 ? lab.one : lab.two;
    await pair[victim]?.kill();
    await pause((round % 5) * 60);
    const mark = survivor.events.length;
    const reborn = await Agent.start(lab, host);
    const began = Date.now();
    await registerService(lab, reborn);
    await reborn.event(isAdd);
    // A restart within the detection time may leave the survivor's route where it is until it hears the new life.
    const deadline = Date.now() + 5_000;
    const settled = async (): Promise<boolean> => {
      const sessions = [...(await reborn.sessions()), ...(await survivor.sessions())];
      return sessions.every((session) => session.state === 'up' && session.routes.every((route) => route.installed));
    };
    while (!(await settled())) {
      if (Date.now() > deadline) throw new Error(`round ${round} sticks: ${JSON.stringify(survivor.events.slice(mark))}`);
      await pause(5);
    }
    took.push(Date.now() - began);
    pair = victim === 0 ? [reborn, survivor] : [survivor, reborn];
  }
  expect(Math.max(...took)).toBeLessThan(DETECT_MS + 3_000);
  show('both Up and installed after kill and restart, either side in turn', took);
});

it.each([
  ['FRR', (): PeerDaemon => new Frr(lab, lab.two)],
  ['BIRD', (): PeerDaemon => new Bird(lab, lab.two)],
] as const)('withdrawal after a cut, from the last packet of %s', async (name, make) => {
  const path = SINGLE_HOP[0] as BfdPath;
  const daemon = make();
  try {
    await daemon.start({ paths: [path], timers: { tx: 50, rx: 50, multiplier: 3 } });
    const agent = await Agent.start(lab, lab.one, { protocol: 'bfd' });
    await agent.register({ table: 254, dst: path.service, src: path.ours, nextHop: path.theirs, protocol: 186 }, { peerIP: path.theirs });
    await agent.event(isAdd);
    const arrivals = await ArrivalMonitor.start(lab, lab.one);
    const routes = new RouteMonitor(lab, lab.one);
    const silences: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      // Long enough for the Final, after which the agreed intervals count.
      await pause(2_500 + round * 7);
      const mark = agent.events.length;
      const cutAt = Date.now();
      lab.cutBoth();
      const gone = await routes.notice('delete', path.service.replace('/32', ''), cutAt);
      // tcpdump prints a little later than the kernel stamps.
      await pause(100);
      silences.push(gone.at - arrivals.last);
      lab.healBoth();
      await agent.event(isAdd, mark);
    }
    const median = show(`route gone, from the last arrival of ${name}, at 50 ms × 3`, silences);
    expect(Math.abs(median - DETECT_MS)).toBeLessThan(20);
  } finally {
    await daemon.close();
  }
});
