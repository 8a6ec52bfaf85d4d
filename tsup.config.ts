import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { index: 'ts/index.ts', protocol: 'ts/building-blocks.ts', cli: 'ts/cli/main.ts', sim: 'ts/sim.ts' },
  format: 'esm',
  target: 'node20',
  platform: 'node',
  splitting: true,
  sourcemap: true,
  // The addon lies in dist/native; declarations are made by tsc.
  clean: false,
  dts: false,
});
