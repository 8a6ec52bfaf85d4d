/** The package installed by each package manager, with neither cargo nor a compiler in reach. */
import { inject, it } from 'vitest';

import { LONG } from './choice.js';
import { PACKAGE_MANAGERS } from './package-managers.js';
import { Project } from './project.js';
import { NODE_LINES } from './tools.js';
import { expectUp } from './up.js';

const LINES = LONG ? NODE_LINES : (['22'] as const);

it('a project has neither cargo nor a compiler in its PATH', async ({ expect }) => {
  using project = new Project();
  for (const program of ['cargo', 'rustc', 'cc', 'gcc', 'make', 'python3']) {
    expect(await project.run('/bin/sh', ['-c', `command -v ${program} || echo none`])).toBe('none\n');
  }
});

for (const manager of PACKAGE_MANAGERS) {
  it(`${manager.name} installs a package whose sessions run on the native engine, by import and by require`, async (context) => {
    using project = new Project();
    project.copy('up.mjs');
    project.copyCommonJs('up.mjs', 'up.cjs');
    await manager.install(project, [`route-liveness@${inject('version')}`]);
    for (const line of LINES) {
      for (const [loaded, program] of [
        ['import', 'up.mjs'],
        ['require', 'up.cjs'],
      ] as const) {
        if (loaded === 'require' && manager.noRequire?.includes(line) === true) continue;
        const output = await project.node(line, [...manager.flags, program]);
        expectUp(context, output, { installed: manager.name, loaded, ran: `Node ${line}` });
      }
    }
  });
}
