/** The section `control`: where the control API is reached. */
import * as v from 'valibot';

import { field, flag, integer, object } from '../../base/fields.js';
import { DEFAULT_SOCKET } from '../control-api.js';
import type { Issues } from './issues.js';
import { type ListenAddress, parseListen } from './listen-address.js';
import { checkedSection } from './section.js';

export interface ControlSettings {
  /** The path of the unix socket; `undefined` for none. */
  readonly socket: string | undefined;
  /** The permissions of the socket. */
  readonly mode: number;
  /** The group of the socket, by its name or number; `undefined`: that of the process. */
  readonly group: string | number | undefined;
  /** A TCP address beside the socket. */
  readonly listen: ListenAddress | undefined;
  /** So many events are kept. */
  readonly events: number;
}

/** The longest path that a unix socket can have on Linux: 108 bytes, with a zero at the end. */
const LONGEST_PATH = 107;

const SCHEMA = object({
  socket: v.optional(
    field<string | false>(`an absolute path of at most ${LONGEST_PATH} bytes, or \`false\` for none`, (value) => {
      return value === false || (typeof value === 'string' && value.startsWith('/') && Buffer.byteLength(value) <= LONGEST_PATH);
    }),
  ),
  // YAML 1.2 reads 0660 as the number 660.
  mode: v.optional(
    field<string>("three octal digits in quotes, such as '0660'", (value) => typeof value === 'string' && /^0?[0-7]{3}$/.test(value)),
  ),
  group: v.optional(
    field<string | number>('the name or the number of a group', (value) => {
      return (typeof value === 'string' && /^[^\s:]+$/.test(value)) || (typeof value === 'number' && Number.isInteger(value) && value >= 0);
    }),
  ),
  listen: v.optional(v.unknown()),
  allowRemote: v.optional(flag),
  events: v.optional(integer(1, 1_000_000)),
});

export function readControl(given: unknown, issues: Issues): ControlSettings {
  const section = checkedSection(SCHEMA, given, ['control'], issues);
  const { socket = DEFAULT_SOCKET, mode = '0660', group, allowRemote = false, events = 10_000 } = section;
  const listen = readListen(section['listen'], allowRemote, 'control', issues);
  if (socket === false && listen === undefined && section['listen'] === undefined) {
    issues.warn(['control', 'socket'], '`socket: false` without `listen`: nothing can reach the control API');
  }
  return { socket: socket === false ? undefined : socket, mode: Number.parseInt(mode, 8), group, listen, events };
}

/** The field `listen` of a section. */
export function readListen(given: unknown, allowRemote: boolean, section: string, issues: Issues): ListenAddress | undefined {
  if (given === undefined || given === null) return undefined;
  const listen = parseListen('listen', given, allowRemote);
  if (typeof listen !== 'string') return listen;
  issues.add([section, 'listen'], listen);
  return undefined;
}
