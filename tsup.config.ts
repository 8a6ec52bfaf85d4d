import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { index: 'ts/index.ts', protocol: 'ts/protocol.ts', cli: 'ts/cli/main.ts', sim: 'ts/sim.ts' },
  format: 'esm',
  target: 'node20',
  platform: 'node',
  splitting: true,
  sourcemap: true,
  // What an earlier layout left in dist is deleted, but not the addon. Declarations are made by tsc, after this.
  clean: ['!native/**'],
  dts: false,
});
