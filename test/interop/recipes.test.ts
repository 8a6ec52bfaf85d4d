/** The recipes of docs/bfd.md: each daemon runs with the configuration of the page, and each agent is the program of the page. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { page, ROOT } from '../docs/pages.js';
import type { Lab } from '../netns/lab.js';
import { describeWhere, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { Frr } from './frr.js';
import { linkedLab, routedLab } from './paths.js';
import { type Recipe, recipesOf } from './recipes.js';
import { until } from './until.js';

interface Expected {
  readonly makeLab: (ifaces: readonly [string, string]) => Lab;
  /** The peers, as each side sees the other: the agent's of the daemon, and the daemon's of the agent. */
  readonly peers: readonly (readonly [string, string])[];
  /** What the agent installs. */
  readonly routes: readonly string[];
}

const IPV4 = ['10.201.0.2', '10.201.0.1'] as const;
const IPV6 = ['2001:db8:201::2', '2001:db8:201::1'] as const;
const FAR = ['10.202.2.1', '10.202.1.1'] as const;
const [NET, NET6] = ['198.51.100.0/24', '2001:db8:100::/48'];

const EXPECTED: Readonly<Record<string, Expected>> = {
  'FRR, single hop, IPv4': { makeLab: linkedLab, peers: [IPV4], routes: [NET] },
  'FRR, single hop, IPv6': { makeLab: linkedLab, peers: [IPV6], routes: [NET6] },
  'FRR, single hop, link-local': { makeLab: linkedLab, peers: [['fe80::2', 'fe80::1']], routes: [NET6] },
  'FRR, multihop': { makeLab: routedLab, peers: [FAR], routes: [NET] },
  'BIRD, single hop': { makeLab: linkedLab, peers: [IPV4, IPV6], routes: [NET, NET6] },
  'BIRD, multihop': { makeLab: routedLab, peers: [FAR], routes: [NET] },
  'BIRD, authentication': { makeLab: linkedLab, peers: [IPV4], routes: [] },
};

/** How long an agent may take to come Up: both sides send once a second until then. */
const PATIENCE_MS = 20_000;

const RECIPES = recipesOf(page('docs/bfd.md'));

it('every recipe for BFD has its test', () => {
  expect(RECIPES.map(({ title }) => title)).toEqual(Object.keys(EXPECTED));
});

describeWhere('a recipe for BFD', lacking(['ip', 'bird', 'bfdd'], { asRoot: true }), () => {
  const undo: (() => Promise<void> | void)[] = [];
  let folder: string;

  beforeEach(() => {
    // Inside of the package, so that the program finds it by its name.
    folder = mkdtempSync(join(ROOT, 'test', 'interop', 'recipe-'));
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(RECIPES)('makes sessions come Up on both sides, and routes follow them: $title', async (recipe) => {
    const { makeLab, peers, routes } = EXPECTED[recipe.title] as Expected;
    const lab = makeLab(['eth1', 'eth0']);
    undo.push(() => lab.close());
    const daemon = await started(recipe, lab);
    const { agent, output } = run(recipe, lab);
    const areAll = (state: string): boolean => {
      const sessions = daemon.sessions();
      return peers.every(([, ours]) => sessions.some((session) => session.peer === ours && session.state === state));
    };
    // A transition may stand for several: from Down through Init.
    for (const [theirs] of peers) await prints(output, new RegExp(`^${theirs}: \\w+ -> up `, 'm'));
    for (const route of routes) await prints(output, `add ${route}: done`);
    await until('the daemon to be Up', () => areAll('up'));
    agent.kill('SIGTERM');
    expect(await once(agent, 'exit')).toEqual([0, null]);
    await until('the daemon to be Down', () => !areAll('up'));
    expect(output()).not.toMatch(/error|warning/i);
    for (const route of routes) expect(output()).toContain(`delete ${route}: done`);
  });

  async function prints(output: () => string, text: string | RegExp): Promise<void> {
    await expect.poll(output, { timeout: PATIENCE_MS }).toMatch(text);
  }

  async function started({ daemon: name, configuration }: Recipe, lab: Lab): Promise<Bird | Frr> {
    const daemon = name === 'FRR' ? new Frr(lab, lab.two) : new Bird(lab, lab.two);
    undo.push(() => daemon.close());
    await daemon.startWith(configuration);
    return daemon;
  }

  function run({ program }: Recipe, lab: Lab): { agent: ChildProcess; output: () => string } {
    const file = join(folder, 'program.mjs');
    writeFileSync(file, program);
    const agent = lab.spawn(lab.one, 'sh', ['-c', 'exec "$0" "$1" 2>&1', process.execPath, file]);
    let printed = '';
    agent.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    return { agent, output: () => printed };
  }
});
