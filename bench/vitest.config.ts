import { defineConfig } from 'vitest/config';

// The figures of the closing notes: measured on a real kernel, not part of `npm test`.
export default defineConfig({
  test: {
    pool: 'forks',
    include: ['bench/*.figures.ts'],
    fileParallelism: false,
    testTimeout: 600_000,
    disableConsoleIntercept: true,
  },
});
