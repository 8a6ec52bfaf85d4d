/** The addons on the C libraries and processors that they are for. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { inject, it } from 'vitest';

import { glibcOf } from '../../.ci/glibc.mjs';
import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { obstacle, type Root, ROOTS, runIn } from './roots.js';
import { ROOT } from './tools.js';
import { expectUp } from './up.js';

for (const root of ROOTS) {
  const reason = obstacle() ?? unbuilt(root);
  const isEmulated = root.architecture === 'arm64';
  // The emulator lacks options of sockets that the engine sets: ENOPROTOOPT.
  const program = isEmulated ? 'simulated.mjs' : 'up.mjs';
  const title = `a session comes Up on the native engine${isEmulated ? ', simulated,' : ''} on ${root.name}`;
  it.skipIf(reason !== undefined)(reason === undefined ? title : `${title} (skipped: ${reason})`, async (context) => {
    using project = new Project();
    project.copy(program);
    await NPM.install(project, [...root.flags, `route-liveness@${inject('version')}`]);
    const output = await runIn(root, project, [`/project/${program}`], { ENGINE: 'native' });
    expectUp(context, output, { installed: 'npm', loaded: isEmulated ? 'import, simulated' : 'import', ran: root.name });
  });
}

const MUSL = ROOTS.find(({ name }) => name === 'musl, x64');

it.skipIf(MUSL === undefined || obstacle() !== undefined || unbuilt(MUSL) !== undefined)(
  'npm installs the package of musl where it runs on musl',
  async (context) => {
    using project = new Project();
    project.copy('up.mjs');
    const npm = '/node/lib/node_modules/npm/bin/npm-cli.js';
    const flags = ['--prefix', '/project', '--registry', inject('registry'), '--no-audit', '--no-fund'];
    if (MUSL === undefined) return;
    await runIn(MUSL, project, [npm, 'install', ...flags, `route-liveness@${inject('version')}`]);
    const output = await runIn(MUSL, project, ['/project/up.mjs']);
    expectUp(context, output, { installed: 'npm on musl', loaded: 'import', ran: MUSL.name });
  },
);

/** Why the root has no addon to run; `undefined` where it has. */
function unbuilt(root: Root): string | undefined {
  const file = join(ROOT, 'dist', 'native', `route-liveness.${root.platform}.node`);
  if (!existsSync(file)) return `the addon is not built: npm run build:all`;
  const glibc = glibcOf(file);
  if (root.suite === 'bullseye' && Number(glibc.split('.')[1]) > 31) return `the addon needs ${glibc}: npm run build:all`;
  return undefined;
}
