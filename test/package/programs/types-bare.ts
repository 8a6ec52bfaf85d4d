// What a user writes who takes transitions from the iterator: compiled, not run.
import { Manager, MemoryRoutes, type Route, type Transition } from 'route-liveness';
import { Session } from 'route-liveness/protocol';

export const route: Route = { table: 254, dst: '10.9.0.2/32', src: '10.201.0.1', nextHop: '10.201.0.2', protocol: 186 };

export async function watch(onDown: (transition: Transition) => void): Promise<void> {
  const manager = await Manager.start({ netlinker: new MemoryRoutes(), bindIP: '10.201.0.1', txMin: 50, rxMin: 50, detectMult: 3 });
  await manager.registerRoute(route, 'eth1', { peerIP: '10.201.0.2' });
  for await (const transition of manager.transitions()) {
    if (transition.to === 'down') onDown(transition);
  }
}

export function engineOf(manager: Manager): 'native' | 'js' {
  return manager.engine;
}

// Types that turned into `any` would let this pass.
// @ts-expect-error a route's table is a number
export const wrong: Route = { ...route, table: 'main' };

export const session: typeof Session = Session;
