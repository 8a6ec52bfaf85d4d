/** The same two addresses on two links: only who is told what a packet came in by can tell the sessions apart. */
import { expect, it } from 'vitest';

import { Manager, MemoryRoutes } from '../../ts/index.js';
import { startFake } from './fake-engine.js';

const ROUTE = { table: 254, dst: '127.0.0.2/32', src: '127.0.0.1', nextHop: '127.0.0.2', protocol: 186 };
// Any interface beside `lo` will do; there may be none that is Up.
const OTHER = 'lo';

it('two links between the same addresses are two sessions on an engine with packet info', async () => {
  const { manager } = await startFake({ bindIP: '127.0.0.1' });
  await manager.registerRoutes([
    { route: ROUTE, iface: 'eth0' },
    { route: { ...ROUTE, table: 100 }, iface: 'eth1' },
  ]);
  expect(manager.getSessions()).toHaveLength(2);
});

it('two links between the same addresses are refused on the JavaScript engine, within one call and across calls', async () => {
  const manager = await Manager.start({
    netlinker: new MemoryRoutes(),
    bindIP: '127.0.0.1',
    port: 0,
    txMin: 50,
    rxMin: 50,
    detectMult: 3,
    engine: 'js',
  });
  const { JsEngine } = await import('../../ts/engine/js/js-engine.js');
  // Which interfaces this host has does not matter here.
  JsEngine.prototype.checkPaths = () => [];
  try {
    const both = [
      { route: ROUTE, iface: OTHER },
      { route: { ...ROUTE, table: 100 }, iface: 'eth7' },
    ];
    await expect(manager.registerRoutes(both)).rejects.toMatchObject({ issues: [{ index: 1, code: 'ERR_ENGINE_UNAVAILABLE' }] });
    expect(manager.getSessions()).toEqual([]);
    await manager.registerRoute(ROUTE, OTHER);
    await expect(manager.registerRoute({ ...ROUTE, table: 100 }, 'eth7')).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
    await manager.registerRoute({ ...ROUTE, table: 100 }, OTHER);
    expect(manager.getSessions()).toHaveLength(1);
  } finally {
    await manager.close();
  }
});
