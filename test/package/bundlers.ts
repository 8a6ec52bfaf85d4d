/** How each bundler makes one program of a project's `up.mjs`, in the folder `out`. */
import type { Project } from './project.js';
import { USUAL } from './project.js';
import { tool } from './tools.js';

export interface Bundler {
  readonly name: string;
  /** Whether the addon is in `out`, or is found in `node_modules`. */
  readonly addon: 'carried' | 'external';
  /** Makes the bundle; returns its file. */
  bundle(project: Project): Promise<string>;
}

const REQUIRE = "import { createRequire as requireFor } from 'node:module'; const require = requireFor(import.meta.url);";

const esbuild = (format: 'esm' | 'cjs', addon: Bundler['addon']): Bundler => ({
  name: `esbuild, ${format === 'esm' ? 'ESM' : 'CommonJS'}`,
  addon,
  async bundle(project) {
    const file = `out/up.${format === 'esm' ? 'mjs' : 'cjs'}`;
    const how = addon === 'carried' ? '--loader:.node=copy' : '--external:route-liveness-*';
    const flags = ['--bundle', '--platform=node', '--target=node20', `--format=${format}`, `--outfile=${file}`, how];
    // In an ES module esbuild gives CommonJS dependencies no `require`.
    if (format === 'esm') flags.push(`--banner:js=${REQUIRE}`);
    await project.node(USUAL, [tool('esbuild', 'bin', 'esbuild'), 'up.mjs', ...flags]);
    return file;
  },
});

/** A bundler that is called from a program. */
const called = (name: string, addon: Bundler['addon'], file: string, program: string): Bundler => ({
  name,
  addon,
  async bundle(project) {
    project.write('bundle.mjs', program);
    await project.node(USUAL, ['bundle.mjs']);
    return file;
  },
});

const from = (...path: readonly string[]): string => JSON.stringify(tool(...path));

const rollup = (format: 'es' | 'cjs'): Bundler =>
  called(
    `rollup, ${format === 'es' ? 'ESM' : 'CommonJS'}`,
    'external',
    `out/up.${format === 'es' ? 'mjs' : 'cjs'}`,
    `import { rollup } from ${from('rollup', 'dist', 'es', 'rollup.js')};
import commonjs from ${from('@rollup', 'plugin-commonjs', 'dist', 'es', 'index.js')};
import { nodeResolve } from ${from('@rollup', 'plugin-node-resolve', 'dist', 'es', 'index.js')};
const external = [/^node:/, /^route-liveness-/, 'prom-client'];
const bundle = await rollup({ input: 'up.mjs', external, plugins: [nodeResolve({ preferBuiltins: true }), commonjs({ ignoreDynamicRequires: true })] });
await bundle.write({ file: 'out/up.${format === 'es' ? 'mjs' : 'cjs'}', format: '${format}', inlineDynamicImports: true });
`,
  );

const rolldown = (format: 'esm' | 'cjs'): Bundler =>
  called(
    `rolldown, ${format === 'esm' ? 'ESM' : 'CommonJS'}`,
    'external',
    `out/up.${format === 'esm' ? 'mjs' : 'cjs'}`,
    `import { rolldown } from ${from('rolldown', 'dist', 'index.mjs')};
const bundle = await rolldown({ input: 'up.mjs', platform: 'node', external: [/^route-liveness-/, 'prom-client'] });
await bundle.write({ file: 'out/up.${format === 'esm' ? 'mjs' : 'cjs'}', format: '${format}', codeSplitting: false });
`,
  );

const WEBPACK = called(
  'webpack',
  'external',
  'out/up.cjs',
  `import { createRequire } from 'node:module';
const webpack = createRequire(import.meta.url)(${from('webpack')});
const externals = [({ request }, callback) => (/^(route-liveness-|prom-client$)/.test(request) ? callback(null, 'commonjs ' + request) : callback())];
webpack(
  { entry: './up.mjs', target: 'node20', mode: 'production', externals, output: { path: import.meta.dirname + '/out', filename: 'up.cjs' } },
  (error, stats) => {
    if (error) throw error;
    if (stats.hasErrors()) throw new Error(stats.toString());
  },
);
`,
);

const NCC: Bundler = {
  name: 'ncc',
  addon: 'carried',
  async bundle(project) {
    await project.node(USUAL, [
      tool('@vercel', 'ncc', 'dist', 'ncc', 'cli.js'),
      'build',
      'up.mjs',
      '--out',
      'out',
      '--external',
      'prom-client',
    ]);
    return 'out/index.mjs';
  },
};

export const BUNDLERS: readonly Bundler[] = [
  esbuild('esm', 'carried'),
  esbuild('esm', 'external'),
  esbuild('cjs', 'carried'),
  esbuild('cjs', 'external'),
  rollup('es'),
  rollup('cjs'),
  rolldown('esm'),
  rolldown('cjs'),
  WEBPACK,
  NCC,
];
