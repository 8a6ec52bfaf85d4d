/** What becomes of the routes of a called backend when the engine stops by itself. */
import { describe, expect, it } from 'vitest';

import type { ManagerConfig, Route } from '../../ts/index.js';
import { settle, startFake } from './fake-engine.js';

const route = (last: number): Route => ({
  table: 254,
  dst: `10.9.0.${last}/32`,
  src: '10.0.0.1',
  nextHop: `10.0.0.${last}`,
  protocol: 186,
});
const peer = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.9.0.2' };

async function leftAfterFailure(config: Partial<ManagerConfig>, hold = false): Promise<string[]> {
  const { manager, engine, routes } = await startFake(config);
  manager.on('error', () => undefined);
  for (const last of [2, 3]) await manager.registerRoute(route(last), 'eth0');
  engine.becomeAll('up');
  await settle();
  if (hold) await manager.hold({ duration: 60_000, peers: [peer] });
  engine.listener.fatal(new Error('the thread died'));
  await manager.closed.catch(() => undefined);
  await manager.close();
  return routes.routeByProtocol(186).map(({ dst }) => dst);
}

describe('when the engine stops by itself, routes', () => {
  it.each<[string, Partial<ManagerConfig>, number]>([
    ['stay by default', {}, 2],
    ['stay with onFatal keep', { onFatal: 'keep' }, 2],
    ['are withdrawn with onFatal withdraw', { onFatal: 'withdraw' }, 0],
    ['stay in passive mode also with onFatal withdraw', { onFatal: 'withdraw', passiveMode: true }, 2],
    ['stay with onFatal keep although a close withdraws them', { onFatal: 'keep', onClose: { withdrawRoutes: true } }, 2],
  ])('%s', async (_, config, left) => {
    expect(await leftAfterFailure(config)).toHaveLength(left);
  });

  it('of a session that is held stay also with onFatal withdraw', async () => {
    expect(await leftAfterFailure({ onFatal: 'withdraw' }, true)).toEqual(['10.9.0.2/32']);
  });
});
