import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // The addon has threads of its own: each file gets a process.
    pool: 'forks',
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/conformance/**/*.test.ts'] } },
      { test: { name: 'process', include: ['test/process/**/*.test.ts'], testTimeout: 120_000 } },
      // Two cores: one pair of hosts at a time.
      { test: { name: 'netns', include: ['test/netns/**/*.test.ts'], fileParallelism: false, testTimeout: 90_000, hookTimeout: 30_000 } },
    ],
  },
});
