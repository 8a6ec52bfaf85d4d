import { copyFile } from 'node:fs/promises';

import { defineConfig, type Options } from 'tsup';

const COMMON: Options = { target: 'node20', platform: 'node', sourcemap: true, dts: false };

/** All of dist is flat: what the sources import from a folder lies beside. */
const optionalPackages: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'optional-packages',
  setup: (build) => {
    build.onResolve({ filter: /optional-packages\.cjs$/ }, () => ({ path: './optional-packages.cjs', external: true }));
  },
};

export default defineConfig([
  {
    ...COMMON,
    entry: { index: 'ts/index.ts', protocol: 'ts/protocol.ts', cli: 'ts/cli/main.ts', sim: 'ts/sim.ts' },
    format: 'esm',
    splitting: true,
    esbuildPlugins: [optionalPackages],
    // What an earlier layout left in dist is deleted, but not the addon. Declarations are made by tsc, after this.
    clean: ['!native/**', '!optional-packages.cjs*'],
    // The agent's page is read by the command line, which lies beside it.
    onSuccess: async () => {
      await copyFile('ts/agent/page.html', 'dist/page.html');
    },
  },
  {
    ...COMMON,
    entry: { 'optional-packages': 'ts/base/optional-packages.cjs' },
    format: 'cjs',
    external: [/^route-liveness-/, 'prom-client'],
  },
]);
