/** What a manager emits, by the names of the events. */
import type { Peer } from '../base/route.js';
import type { RouteOperation } from '../routes/installer.js';
import type { Transition } from './transitions.js';

/** What a manager emits. */
export interface ManagerEvents {
  /** The state of a session has changed. */
  transition: [Transition];
  /** An operation on a route has succeeded or failed. */
  route: [RouteOperation];
  /** Sessions are held, or no longer. */
  hold: [HoldChange];
  /** A successor has taken over the sessions (`resume` in its configuration): this manager closes, and leaves its routes. */
  handover: [];
  /**
   * The engine has stopped by itself: no session runs any more. Emitted at most once, and only if there is a listener. Without
   * a listener and without a logger, the process gets a warning with the code `ERR_ENGINE_STOPPED`.
   */
  error: [Error];
}

/** Sessions that are held, or are held no longer. */
export interface HoldChange {
  /** `undefined`: all sessions of the manager. */
  readonly peers: readonly Readonly<Peer>[] | undefined;
  /** `undefined`: the hold was released, or its time is over. */
  readonly until: Date | undefined;
}
