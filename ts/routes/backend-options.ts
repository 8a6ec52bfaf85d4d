/** The options and arguments that the backends of this package share. */
import * as v from 'valibot';

import { ConfigError, expected } from '../base/errors.js';
import { flag, integer, object, optionsOf } from '../base/fields.js';
import { isIntegerIn } from '../base/route.js';

/** The greatest number stands for none. */
const MAX_ID = 0xffff_fffe;

/** As in `crate/src/routes/next_hop.rs`. */
const DEFAULT_IDS: ObjectRange = { firstId: 1_862_000_000, lastId: 1_862_999_999 };

const OBJECTS = 'a boolean, or an object with `firstId` and `lastId`';

const BACKEND_SCHEMA = object({ takeOver: v.optional(flag) });

const RANGE = object({ firstId: v.optional(integer(1, MAX_ID)), lastId: v.optional(integer(1, MAX_ID)) });

const NETLINK_SCHEMA = object({
  takeOver: v.optional(flag),
  // Not a union: it would not say which field of the object is wrong.
  nextHopObjects: v.optional(
    v.lazy((given) => (typeof given === 'object' && given !== null && !Array.isArray(given) ? RANGE : v.boolean(OBJECTS))),
  ),
});

/** Numbers of next-hop objects, both included. */
export interface ObjectRange {
  readonly firstId: number;
  readonly lastId: number;
}

/** How `NetlinkRoutes` treats routes. */
export interface NetlinkRoutesOptions extends BackendOptions {
  /**
   * Routes through one peer hang on next-hop objects of ours, up to 4 096 on one, so that a Down takes one message to the kernel for
   * all of these. With the native engine, not in passive mode. The numbers of the objects are 1 862 000 000 to 1 862 999 999 unless
   * others are given, 1 to 4 294 967 294: one for each 4 096 routes of a session, and as many for their backups. Default: false.
   */
  nextHopObjects?: boolean | { firstId?: number | undefined; lastId?: number | undefined } | undefined;
}

/** @throws ConfigError `ERR_CONFIG` */
export function netlinkOptions(options: NetlinkRoutesOptions | undefined): { takeOver: boolean; objects: ObjectRange | undefined } {
  const { takeOver = false, nextHopObjects = false } = optionsOf(NETLINK_SCHEMA, options);
  if (nextHopObjects === false) return { takeOver, objects: undefined };
  const given = nextHopObjects === true ? {} : nextHopObjects;
  const firstId = given.firstId ?? Math.min(DEFAULT_IDS.firstId, given.lastId ?? MAX_ID);
  const objects = Object.freeze({ firstId, lastId: given.lastId ?? Math.max(DEFAULT_IDS.lastId, firstId) });
  if (objects.firstId > objects.lastId) {
    const what = `an integer up to \`nextHopObjects.lastId\` (${objects.lastId})`;
    throw new ConfigError([{ path: 'nextHopObjects.firstId', message: expected('nextHopObjects.firstId', what, objects.firstId) }]);
  }
  return { takeOver, objects };
}

/** How a backend treats routes of other programs. */
export interface BackendOptions {
  /** Replace any occupant of a slot. Default: false. */
  takeOver?: boolean | undefined;
}

/** @throws ConfigError `ERR_CONFIG` */
export function takesOver(options: BackendOptions | undefined): boolean {
  return optionsOf(BACKEND_SCHEMA, options).takeOver ?? false;
}

/** @throws ConfigError `ERR_CONFIG` if it is no number of a routing protocol */
export function checkProtocol(protocol: unknown): void {
  if (isIntegerIn(protocol, 1, 255)) return;
  throw new ConfigError([{ path: 'protocol', message: expected('protocol', 'an integer from 1 to 255', protocol) }]);
}
