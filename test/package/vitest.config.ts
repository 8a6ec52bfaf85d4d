import { defineConfig } from 'vitest/config';

// What users install: `npm run test:package`. LONG_TESTS=1 runs every combination.
export default defineConfig({
  test: {
    pool: 'forks',
    root: import.meta.dirname,
    include: ['*.test.ts'],
    globalSetup: ['./setup.ts'],
    reporters: ['default', '../../.ci/skipped.mjs', './table.ts'],
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
  },
});
