/** The TypeScript core replays the scenarios that the Rust core replays: the same inputs, the same outputs. */
import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { EndpointCounters } from '../../ts/engine/js/endpoint-counters.js';
import { Replay, type Scenario } from './replay.js';

describe('the TypeScript core', () => {
  const folder = new URL('scenarios/', import.meta.url);
  const scenarios = readdirSync(folder).map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Scenario);

  it.each(scenarios.map((scenario) => [scenario.name, scenario.rules, scenario] as const))('%s (%s)', (_, __, scenario) => {
    const replay = new Replay(scenario);
    for (const step of scenario.steps) {
      replay.apply(step);
      expect(replay.observed(), `at ${step.atUs} µs`).toEqual(step.expect);
    }
  });

  it('counts a Down that the peer says after a late turn as one that may be our fault, also where it says so late, and none after turns on time', () => {
    const scenario = JSON.parse(readFileSync(new URL('stall-noticed.robust.json', folder), 'utf8')) as Scenario;
    const counters = new EndpointCounters();
    const replay = new Replay(scenario, counters);
    for (const step of scenario.steps) replay.apply(step);
    expect(counters.stats()).toMatchObject([{ timeouts: 0, localTimeouts: 0, remoteDowns: 3, localRemoteDowns: 2 }]);
  });
});
