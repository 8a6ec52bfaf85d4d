import { defineConfig } from 'vitest/config';

/** What is done to the whole machine is done only where somebody asks for it. */
const ON_REQUEST = process.env['CLOCK_STEP'] === '1' ? [] : ['test/netns/clock.test.ts'];

export default defineConfig({
  test: {
    reporters: ['default', './.ci/skipped.mjs'],
    // The addon has threads of its own: each file gets a process.
    pool: 'forks',
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/conformance/**/*.test.ts'] } },
      { test: { name: 'process', include: ['test/process/**/*.test.ts'], testTimeout: 120_000 } },
      // Two cores: one pair of hosts at a time.
      {
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          exclude: ON_REQUEST,
          fileParallelism: false,
          testTimeout: 90_000,
          hookTimeout: 30_000,
        },
      },
    ],
  },
});
