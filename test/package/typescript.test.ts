/** The declarations under the compilers and settings of users. */
import { rmSync } from 'node:fs';

import { afterAll, beforeAll, inject, it } from 'vitest';

import { LONG } from './choice.js';
import { NPM } from './package-managers.js';
import { Project } from './project.js';
import { node, tool } from './tools.js';

const COMPILERS = LONG ? (['5.2', '6', '7'] as const) : (['5.2', '7'] as const);
const SETTINGS = {
  nodenext: ['--module', 'nodenext', '--moduleResolution', 'nodenext'],
  bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
} as const;

const projects = new Map<string, Project>();

beforeAll(async () => {
  for (const [name, packages] of [
    ['full', ['prom-client@15', '@types/node@20']],
    ['without prom-client', ['@types/node@20']],
    ['bare', []],
  ] as const) {
    const project = new Project({ type: 'module' });
    projects.set(name, project);
    for (const program of ['types.ts', 'types-bare.ts']) project.copy(program);
    await NPM.install(project, [`route-liveness@${inject('version')}`, ...packages]);
    // npm installs what the package asks of its surroundings; other package managers may not.
    if (name !== 'full') rmSync(project.path('node_modules', 'prom-client'), { recursive: true });
  }
});

afterAll(() => {
  for (const project of projects.values()) project[Symbol.dispose]();
});

for (const version of COMPILERS) {
  for (const [name, flags] of Object.entries(SETTINGS)) {
    it(`a program compiles under TypeScript ${version} with ${name}, libraries checked`, async () => {
      await compile('full', version, [...flags, '--types', 'node', 'types.ts']);
    });

    it(`a program compiles under TypeScript ${version} with ${name}, without prom-client`, async () => {
      await compile('without prom-client', version, [...flags, '--types', 'node', '--skipLibCheck', 'types.ts']);
    });

    // `Manager` extends Node's EventEmitter, whose methods are of @types/node.
    it(`a program that listens to no event compiles under TypeScript ${version} with ${name}, without @types/node`, async () => {
      await compile('bare', version, [...flags, '--skipLibCheck', 'types-bare.ts']);
    });
  }
}

async function compile(name: string, version: (typeof COMPILERS)[number], flags: readonly string[]): Promise<void> {
  const compiler = tool(`typescript-${version}`, 'bin', 'tsc');
  const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022'];
  await projects.get(name)?.run(node('22'), [compiler, ...strict, ...flags]);
}
