import { defineConfig } from 'vitest/config';

import { LongestFirst } from './longest-first.js';

// What users install: `npm run test:package`. LONG_TESTS=1 runs every combination; PACKAGE_REPORT names a file for
// the results.
const report = process.env['PACKAGE_REPORT'];

export default defineConfig({
  test: {
    pool: 'forks',
    root: import.meta.dirname,
    include: ['*.test.ts'],
    globalSetup: ['./setup.ts'],
    reporters: [
      'default',
      '../../.ci/skipped.mjs',
      './table.ts',
      ...(report === undefined ? [] : [['json', { outputFile: report }] as [string, Record<string, unknown>]]),
    ],
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
  },
});
