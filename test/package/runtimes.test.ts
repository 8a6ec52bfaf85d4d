/** The package on the other runtimes that load addons. */
import { inject, it } from 'vitest';

import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { tool } from './tools.js';
import { expectUp } from './up.js';

const RUNTIMES = [
  { name: 'Bun', program: tool('@oven', 'bun-linux-x64', 'bin', 'bun'), args: ['run'] },
  { name: 'Deno', program: tool('@deno', 'linux-x64-glibc', 'deno'), args: ['run', '--allow-all', '--node-modules-dir=manual'] },
];

for (const { name, program, args } of RUNTIMES) {
  it(`a session comes Up on the native engine under ${name}`, async (context) => {
    using project = new Project();
    project.copy('up.mjs');
    await NPM.install(project, [`route-liveness@${inject('version')}`]);
    const output = await project.run(program, [...args, 'up.mjs']);
    expectUp(context, output, { installed: 'npm', loaded: 'import', ran: name });
  });
}

it('a session comes Up on the native engine under Bun where Bun has installed the package', async (context) => {
  using project = new Project();
  project.copy('up.mjs');
  const bun = tool('@oven', 'bun-linux-x64', 'bin', 'bun');
  project.write('bunfig.toml', `[install]\nregistry = "${inject('registry')}/"\n`);
  await project.run(bun, ['add', `route-liveness@${inject('version')}`]);
  expectUp(context, await project.run(bun, ['run', 'up.mjs']), { installed: 'bun', loaded: 'import', ran: 'Bun' });
});
