import { availableParallelism } from 'node:os';

import { defineConfig } from 'vitest/config';

/** What is done to the whole machine is done only where somebody asks for it. */
const ON_REQUEST = process.env['CLOCK_STEP'] === '1' ? [] : ['test/netns/clock.test.ts'];

/** What wants both cores, or is judged by how soon it happens: it runs by itself. */
const ALONE = [
  'test/netns/agent-load.test.ts',
  'test/netns/flood.test.ts',
  'test/netns/impaired.test.ts',
  'test/netns/liveness.test.ts',
  'test/netns/clock.test.ts',
  'test/interop/hold.test.ts',
];

/** Between namespaces most of the time is spent waiting, for detection times to pass. */
const NETNS = { testTimeout: 90_000, hookTimeout: 30_000 };

export default defineConfig({
  test: {
    reporters: ['default', './.ci/skipped.mjs'],
    // The addon has threads of its own: each file gets a process.
    pool: 'forks',
    // One group after the other.
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/conformance/**/*.test.ts', 'test/docs/pages.test.ts'],
          // A test takes milliseconds, on a machine that has nothing else to do.
          testTimeout: 60_000,
          // Every core: Vitest by itself leaves one of them idle, which of two is half.
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'process',
          include: ['test/process/**/*.test.ts', 'test/docs/building-blocks.test.ts'],
          testTimeout: 120_000,
          // What a process holds is counted while no other test is in its way.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...NETNS,
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...NETNS,
          name: 'netns-alone',
          include: ALONE,
          exclude: ON_REQUEST,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          ...NETNS,
          name: 'interop',
          // The other daemons must not starve: their sessions have a detection time of 150 ms, too. Two files have namespaces and
          // daemons of their own each, and spend their time waiting.
          include: ['test/interop/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          ...NETNS,
          name: 'operator',
          // A browser wants both cores, which sessions of other tests want, too.
          include: ['test/operator/**/*.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
