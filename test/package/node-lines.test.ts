/** The package on each line of Node. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, inject, it } from 'vitest';

import { LONG } from './choice.js';
import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { NODE_LINES, ROOT } from './tools.js';
import { expectUp } from './up.js';

/** How often a worker is terminated in each state. */
const ROUNDS = LONG ? 100 : 5;

let project: Project;

beforeAll(async () => {
  project = new Project();
  project.copy('up.mjs');
  project.copyCommonJs('up.mjs', 'up.cjs');
  project.copy('workers.mjs');
  await NPM.install(project, [`route-liveness@${inject('version')}`]);
});

afterAll(() => {
  project[Symbol.dispose]();
});

for (const line of NODE_LINES) {
  it(`a session comes Up on the native engine of Node ${line}, by import and by require`, async (context) => {
    for (const [loaded, program] of [
      ['import', 'up.mjs'],
      ['require', 'up.cjs'],
    ] as const) {
      expectUp(context, await project.node(line, [program]), { installed: 'npm', loaded, ran: `Node ${line}` });
    }
  });

  it(`a session comes Up on the JavaScript engine of Node ${line}`, async () => {
    expect(await project.node(line, ['up.mjs'], { ENGINE: 'js' })).toContain('Up on js');
  });

  it(`a worker of Node ${line} is terminated in any state of its manager, without a crash, and leaves no thread`, async () => {
    const ending = await project.end(line, ['workers.mjs', String(ROUNDS)]);
    expect(ending).toMatchObject({ code: 0, signal: null });
    const { states, before, after } = JSON.parse(ending.stdout) as { states: number; before: number; after: number };
    expect(states).toBe(12);
    expect(after).toBeLessThanOrEqual(before);
  });
}

it('what the package needs is installed, and what it can do without is not', async () => {
  const has = async (name: string): Promise<boolean> =>
    (await project.run('/bin/sh', ['-c', `test -d node_modules/${name} && echo yes || echo no`])).trim() === 'yes';
  const { dependencies, peerDependencies, peerDependenciesMeta, devDependencies } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'peerDependencies' | 'devDependencies', object> & {
    peerDependenciesMeta: Record<string, { optional?: boolean }>;
  };
  const peers = Object.keys(peerDependencies);
  const optional = peers.filter((name) => peerDependenciesMeta[name]?.optional === true);
  const needed = [...Object.keys(dependencies), ...peers.filter((name) => !optional.includes(name))];
  for (const name of needed) expect(await has(name), name).toBe(true);
  for (const name of [...optional, ...Object.keys(devDependencies)].filter((it) => !needed.includes(it)))
    expect(await has(name), name).toBe(false);
});
