/** What the addon counts, in the order in which it writes its numbers. */
import { describe, expect, it } from 'vitest';

import { statisticsOf } from '../../ts/engine/native/statistics.js';
import { CONVERGENCE_BOUNDS, HANDLE_RX_BOUNDS } from '../../ts/metrics/duration-histogram.js';
import { NOTHING_INVALID } from './fake-engine.js';

const STATES = 4;
const CAUSES = 4;
const REASONS = 15;
const DIAGNOSTICS = 9;

/** So many numbers, the first of which is given, each greater by one than the one before. */
function from(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

const ENGINE = [...from(1, 8), 2, 8, 3, 9, 4, 1, 5, 6];
const TRANSITIONS = Array<number>(STATES * STATES * CAUSES).fill(0);
// From Up to Down by a timeout, and from Init to Up by a packet.
TRANSITIONS[3 * STATES * CAUSES + 1 * CAUSES + 2] = 70;
TRANSITIONS[2 * STATES * CAUSES + 3 * CAUSES + 1] = 71;

function endpoint(first: number): number[] {
  return [
    ...from(first, STATES),
    ...from(first + 10, 3),
    ...from(first + 20, REASONS),
    ...from(first + 40, 9),
    first + 50,
    ...TRANSITIONS,
    ...from(first + 60, DIAGNOSTICS),
    ...from(first + 80, DIAGNOSTICS),
    ...from(first + 100, HANDLE_RX_BOUNDS.length + 1),
    first + 0.5,
  ];
}

function routeEndpoint(first: number): number[] {
  const histogram = (at: number): number[] => [...from(at, CONVERGENCE_BOUNDS.length + 1), at + 0.5];
  return [...from(first, 7), ...histogram(first + 10), ...histogram(first + 40)];
}

function read(protocol: 'liveness' | 'bfd') {
  return statisticsOf(
    {
      endpoints: ['', '0.0.0.0', 'eth0', '10.0.0.1'],
      routeEndpoints: ['eth0', '10.0.0.1'],
      numbers: new Float64Array([...ENGINE, ...endpoint(1_000), ...endpoint(2_000), ...routeEndpoint(3_000)]),
    },
    protocol,
  );
}

describe('the statistics of the addon', () => {
  it('have all counters of the engine', () => {
    expect(read('bfd')).toMatchObject({
      queueLength: 1,
      readErrors: 2,
      socketDrops: 3,
      repeatsFiltered: 4,
      sendBufferBytes: 5,
      sendBufferFull: 6,
      turns: 7,
      worstTurnDelayUs: 8,
      turnDelays: [
        { belowUs: 8, count: 3 },
        { belowUs: 9, count: 4 },
      ],
      transmitDelays: [{ belowUs: 5, count: 6 }],
    });
  });

  it('have all counters of each local endpoint', () => {
    const { endpoints } = read('bfd');
    expect(endpoints.map(({ iface, localIP, rx }) => [iface, localIP, rx])).toEqual([
      ['', '0.0.0.0', 1_012],
      ['eth0', '10.0.0.1', 2_012],
    ]);
    expect(endpoints[1]).toEqual({
      iface: 'eth0',
      localIP: '10.0.0.1',
      sessions: { admin_down: 2_000, down: 2_001, init: 2_002, up: 2_003 },
      neverUp: 2_010,
      tx: 2_011,
      rx: 2_012,
      rxInvalid: Object.fromEntries(Object.keys(NOTHING_INVALID).map((reason, index) => [reason, 2_020 + index])),
      unknownPeer: 2_040,
      writeErrors: 2_041,
      dropped: 2_042,
      timeouts: 2_043,
      localTimeouts: 2_044,
      remoteDowns: 2_045,
      localRemoteDowns: 2_046,
      extensions: 2_047,
      queued: 2_048,
      transitions: [
        { from: 'new', to: 'down', cause: 'register_route', count: 2_050 },
        { from: 'init', to: 'up', cause: 'handle_rx', count: 71 },
        { from: 'up', to: 'down', cause: 'detect_timeout', count: 70 },
      ],
      localDiagnostics: from(2_060, DIAGNOSTICS),
      remoteDiagnostics: from(2_080, DIAGNOSTICS),
      handleRx: { bounds: HANDLE_RX_BOUNDS, counts: from(2_100, HANDLE_RX_BOUNDS.length + 1), sum: 2_000.5 },
    });
  });

  it('have all counters of the routes of each local endpoint', () => {
    expect(read('bfd').routes).toEqual([
      {
        iface: 'eth0',
        localIP: '10.0.0.1',
        installed: 3_000,
        adds: 3_001,
        addFailures: 3_002,
        deletes: 3_003,
        deleteFailures: 3_004,
        restored: 3_005,
        restoresDelayed: 3_006,
        convergenceToUp: { bounds: CONVERGENCE_BOUNDS, counts: from(3_010, CONVERGENCE_BOUNDS.length + 1), sum: 3_010.5 },
        convergenceToDown: { bounds: CONVERGENCE_BOUNDS, counts: from(3_040, CONVERGENCE_BOUNDS.length + 1), sum: 3_040.5 },
      },
    ]);
  });

  it('have no diagnostics in the liveness protocol', () => {
    const [, endpoint] = read('liveness').endpoints;
    expect([endpoint?.localDiagnostics, endpoint?.remoteDiagnostics]).toEqual([[], []]);
    expect(endpoint?.handleRx.sum).toBe(2_000.5);
  });
});
