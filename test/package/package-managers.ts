/** How each package manager installs packages into a project, and how a program is run there. */
import { inject } from 'vitest';

import { node, type NodeLine, tool } from './tools.js';
import { type Project, USUAL } from './project.js';

export interface PackageManager {
  readonly name: string;
  install(project: Project, packages: readonly string[]): Promise<void>;
  /** What Node is to be given before a program's name. */
  readonly flags: readonly string[];
  /** Lines of Node whose `require` of an ES module does not ask the package manager's resolver for what that imports. */
  readonly noRequire?: readonly NodeLine[];
}

export const NPM: PackageManager = {
  name: 'npm',
  async install(project, packages) {
    await project.run(node(USUAL), [tool('npm', 'bin', 'npm-cli.js'), 'install', '--no-audit', '--no-fund', ...packages]);
  },
  flags: [],
};

const PNPM: PackageManager = {
  name: 'pnpm',
  async install(project, packages) {
    // The packages were published a moment ago.
    project.write('pnpm-workspace.yaml', 'minimumReleaseAge: 0\n');
    await project.run(tool('@pnpm', 'exe.linux-x64', 'pnpm'), ['add', '--store-dir', project.path('.home', 'store'), ...packages]);
  },
  flags: [],
};

const YARN_1: PackageManager = {
  name: 'yarn 1',
  async install(project, packages) {
    await project.run(node(USUAL), [tool('yarn-1', 'bin', 'yarn.js'), 'add', '--registry', inject('registry'), ...packages]);
  },
  flags: [],
};

function yarn4(linker: 'node-modules' | 'pnp' | 'pnpm', flags: readonly string[]): PackageManager {
  return {
    name: `yarn 4 (${linker})`,
    async install(project, packages) {
      project.write(
        '.yarnrc.yml',
        [
          `nodeLinker: ${linker}`,
          `npmRegistryServer: ${inject('registry')}`,
          "unsafeHttpWhitelist: ['127.0.0.1']",
          // The packages were published a moment ago.
          'npmMinimalAgeGate: 0',
          'enableTelemetry: false',
          'enableGlobalCache: false',
          'enableImmutableInstalls: false',
        ].join('\n'),
      );
      // Else it looks for the project in the folders above.
      project.write('yarn.lock', '');
      await project.run(node(USUAL), [tool('@yarnpkg', 'cli-dist', 'bin', 'yarn.js'), 'add', ...packages]);
    },
    flags,
  };
}

export const PACKAGE_MANAGERS: readonly PackageManager[] = [
  NPM,
  PNPM,
  YARN_1,
  yarn4('node-modules', []),
  { ...yarn4('pnp', ['--require', './.pnp.cjs', '--loader', './.pnp.loader.mjs']), noRequire: ['20'] },
  yarn4('pnpm', []),
];
