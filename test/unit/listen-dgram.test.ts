/** `listenUDP` where the addon does not load: over `node:dgram`. */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { listenUDP } from '../../ts/protocol.js';

process.env['ROUTE_LIVENESS_BINDING'] = '/nonexistent.node';

it.runIf(process.platform === 'linux')(
  'leaves no descriptor where the address cannot be bound',
  async () => {
    const first = await listenUDP('127.0.0.1', 0);
    const { port = 0 } = first.localAddr() ?? {};
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let attempt = 0; attempt < 50; attempt += 1) {
      await expect(listenUDP('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    }
    while (count() > before + 10) await delay(10);
    await first.close();
  },
  5_000,
);
