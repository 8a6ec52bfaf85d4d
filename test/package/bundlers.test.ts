/** The package in a bundle, of each bundler. */
import { cpSync } from 'node:fs';

import { inject, it } from 'vitest';

import { BUNDLERS } from './bundlers.js';
import { LONG } from './choice.js';
import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { NODE_LINES } from './tools.js';
import { expectUp } from './up.js';

const LINES = LONG ? NODE_LINES : (['20', '26'] as const);

for (const bundler of BUNDLERS) {
  const { name, addon } = bundler;
  it(`a bundle of ${name} with the addon ${addon} runs on the native engine`, async (context) => {
    using project = new Project();
    project.copy('up.mjs');
    await NPM.install(project, [`route-liveness@${inject('version')}`]);
    const file = await bundler.bundle(project);
    // Elsewhere there is nothing but what the bundler wrote.
    using elsewhere = new Project();
    cpSync(project.path('out'), elsewhere.path('out'), { recursive: true });
    const place = addon === 'carried' ? elsewhere : project;
    for (const line of LINES) {
      expectUp(context, await place.node(line, [file]), { installed: 'npm', loaded: `${name}, addon ${addon}`, ran: `Node ${line}` });
    }
  });
}
