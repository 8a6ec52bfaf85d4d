import { expect, it } from 'vitest';

import { Counters } from '../../ts/engine/js/endpoint-counters.js';
import { Refusals } from '../../ts/engine/js/drop-reporter.js';

it('a flood is one line per kind in five seconds, and no packet goes untold', () => {
  const counters = new Counters();
  const refusals = new Refusals();
  const path = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' };
  const news = (second: number) => refusals.news(() => counters.scopes(), second * 1_000_000);
  expect(news(1)).toEqual([]);
  for (let packet = 0; packet < 10; packet += 1) counters.invalid(path, 'short');
  for (let packet = 0; packet < 3; packet += 1) counters.unknownPeer(path);
  expect(news(5), 'too soon after the last look').toEqual([]);
  expect(news(6)).toEqual([
    { kind: 'short', count: 10 },
    { kind: 'unknown_peer', count: 3 },
  ]);
  for (let packet = 0; packet < 1_000; packet += 1) counters.invalid(path, 'short');
  expect(news(10)).toEqual([]);
  expect(news(11)).toEqual([{ kind: 'short', count: 1_000 }]);
  expect(news(20)).toEqual([]);
});
