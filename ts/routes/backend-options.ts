/** The options and arguments that the backends of this package share. */
import * as v from 'valibot';

import { ConfigError, expected } from '../base/errors.js';
import { flag, object, optionsOf } from '../base/fields.js';
import { isIntegerIn } from '../base/route.js';

const BACKEND_SCHEMA = object({ takeOver: v.optional(flag) });

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
