import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {
    main: 'bench/main.ts',
    soak: 'bench/soak.ts',
    micro: 'bench/micro.ts',
    'endpoint-program': 'bench/endpoint-program.ts',
    'dgram-program': 'bench/dgram-program.ts',
  },
  outDir: 'bench/.out',
  format: 'esm',
  target: 'node20',
  platform: 'node',
  splitting: false,
  silent: true,
  clean: true,
  dts: false,
});
