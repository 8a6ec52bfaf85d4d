/** Which sessions and routes are asked for. */
import { State } from '../index.js';
import { type Arguments, oneOf } from './client-arguments.js';
import type { Parameters } from './control-client.js';

export const FILTER_OPTIONS = {
  state: { type: 'string', multiple: true },
  peer: { type: 'string' },
  prefix: { type: 'string' },
  manager: { type: 'string' },
} as const;

export const FILTER_HELP = `  --state STATE   only in this state: down, init, up or admin_down; may be given several times
  --peer ADDRESS  only with this peer
  --prefix PREFIX only of routes to this destination, such as 10.9.0.0/24
  --manager NAME  only of this manager of the configuration`;

/** The filters as parameters of the control API. @throws UsageError for a state that there is not */
export function filterParameters(given: Arguments): Parameters {
  const states = given.all('state').map((state) => oneOf('--state', state, Object.values(State)));
  return { state: states, peer: given.one('peer'), prefix: given.one('prefix'), manager: given.one('manager') };
}

/** Whether something was asked for by its name, so that its absence is a failure. */
export function namesSomething(given: Arguments): boolean {
  return ['peer', 'prefix', 'manager'].some((name) => given.one(name) !== undefined);
}
