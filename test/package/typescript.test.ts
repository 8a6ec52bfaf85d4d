/** The declarations under the compilers and settings of users. */
import { afterAll, beforeAll, inject, it } from 'vitest';

import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { node, tool } from './tools.js';

const COMPILERS = ['5.2', '6', '7'] as const;
const SETTINGS = {
  nodenext: ['--module', 'nodenext', '--moduleResolution', 'nodenext'],
  bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
} as const;

let bare: Project;
let full: Project;

beforeAll(async () => {
  const main = `route-liveness@${inject('version')}`;
  [bare, full] = [new Project({ type: 'module' }), new Project({ type: 'module' })];
  for (const project of [bare, full]) project.copy('types.ts');
  await NPM.install(bare, [main]);
  await NPM.install(full, [main, 'prom-client@15', '@types/node@20']);
});

afterAll(() => {
  for (const project of [bare, full]) project[Symbol.dispose]();
});

for (const version of COMPILERS) {
  for (const [name, flags] of Object.entries(SETTINGS)) {
    it(`a program compiles under TypeScript ${version} with ${name}, libraries checked`, async () => {
      await compile(full, version, [...flags, '--types', 'node']);
    });

    it(`a program compiles under TypeScript ${version} with ${name}, without @types/node and prom-client`, async () => {
      await compile(bare, version, [...flags, '--skipLibCheck']);
    });
  }
}

async function compile(project: Project, version: (typeof COMPILERS)[number], flags: readonly string[]): Promise<void> {
  const compiler = tool(`typescript-${version}`, 'bin', 'tsc');
  await project.run(node('22'), [
    compiler,
    '--noEmit',
    '--strict',
    '--exactOptionalPropertyTypes',
    '--target',
    'es2022',
    ...flags,
    'types.ts',
  ]);
}
