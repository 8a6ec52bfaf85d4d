import { defineConfig, type Options } from 'tsup';

const COMMON: Options = { target: 'node20', platform: 'node', sourcemap: true, dts: false };

export default defineConfig([
  {
    ...COMMON,
    entry: { index: 'ts/index.ts', protocol: 'ts/protocol.ts', cli: 'ts/cli/main.ts', sim: 'ts/sim.ts' },
    format: 'esm',
    splitting: true,
    external: ['./addons.cjs'],
    // What an earlier layout left in dist is deleted, but not the addon. Declarations are made by tsc, after this.
    clean: ['!native/**', '!addons.cjs*'],
  },
  {
    ...COMMON,
    entry: { addons: 'ts/engine/native/addons.cjs' },
    format: 'cjs',
    external: [/^route-liveness-/],
  },
]);
