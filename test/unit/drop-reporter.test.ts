import { expect, it } from 'vitest';

import { DropReporter } from '../../ts/engine/js/drop-reporter.js';
import { EndpointCounters } from '../../ts/engine/js/endpoint-counters.js';

it('the drop reporter reports every dropped packet, with one line per reason in five seconds', () => {
  const counters = new EndpointCounters();
  const reporter = new DropReporter();
  const path = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' };
  const reportAt = (second: number) => reporter.report(() => counters.stats(), second * 1_000_000);
  expect(reportAt(1)).toEqual([]);
  for (let packet = 0; packet < 10; packet += 1) counters.invalid(path, 'short');
  for (let packet = 0; packet < 3; packet += 1) counters.unknownPeer(path);
  expect(reportAt(5), 'less than five seconds after the last report').toEqual([]);
  expect(reportAt(6)).toEqual([
    { reason: 'short', count: 10 },
    { reason: 'unknown_peer', count: 3 },
  ]);
  for (let packet = 0; packet < 1_000; packet += 1) counters.invalid(path, 'short');
  expect(reportAt(10)).toEqual([]);
  expect(reportAt(11)).toEqual([{ reason: 'short', count: 1_000 }]);
  expect(reportAt(20)).toEqual([]);
});
