/** The columns of tables of sessions. */
import type { SessionJson } from '../agent/control-api.js';
import type { Paint } from './paint.js';
import { printable } from './printable.js';
import { type ShownState, shownState } from './severity.js';
import type { Column } from './table.js';
import { age, clock, milliseconds } from './times.js';

/** From this share of the detection time on our own delay may be the reason of a timeout, as the engine counts it. */
const OWN_SHARE = 1 / 4;

const STATE_PAINT: Readonly<Record<ShownState, Paint>> = {
  down: 'red',
  init: 'yellow',
  'never up': 'yellow',
  admin_down: 'dim',
  up: 'green',
};

export const paintOfState = (state: ShownState): Paint => STATE_PAINT[state];

/** The manager's name is shown where there are several. `now` is what ages count from. */
export function sessionColumns(sessions: readonly SessionJson[], now: number): Column<SessionJson>[] {
  const several = sessions.some(({ manager }) => manager !== sessions[0]?.manager);
  return [
    { title: 'STATE', text: shownState, paint: (session) => paintOfState(shownState(session)) },
    { title: 'SINCE', text: ({ liveness_last_updated }) => age(liveness_last_updated, now), right: true },
    ...(several ? [{ title: 'MANAGER', text: ({ manager }: SessionJson) => printable(manager) }] : []),
    { title: 'PEER', text: ({ peer_ip }) => printable(peer_ip) },
    { title: 'IFACE', text: ({ iface, multihop }) => printable(multihop ? `${iface} (multihop)` : iface) },
    { title: 'LOCAL', text: ({ local_ip }) => printable(local_ip) },
    { title: 'DETECT', text: ({ detect_time_ms }) => milliseconds(detect_time_ms), right: true },
    { title: 'WORST GAP', text: ({ worst_gap_ms }) => milliseconds(worst_gap_ms), right: true, paint: paintOfGap },
    { title: 'FLAPS', text: ({ flaps }) => `${flaps}`, right: true },
    { title: 'LAST DOWN', text: lastDown },
    { title: 'ROUTES', text: routes },
  ];
}

/** A gap of more than two thirds of the detection time was nearly a Down. */
function paintOfGap({ worst_gap_ms, detect_time_ms }: SessionJson): Paint | undefined {
  return worst_gap_ms !== null && worst_gap_ms > (detect_time_ms * 2) / 3 ? 'yellow' : undefined;
}

/** Why it went Down last, and by how much this host was late itself where that may be the reason. */
export function lastDown({ reason, local_stall_ms, detect_time_ms }: SessionJson): string {
  if (reason === 'none') return '–';
  const mayBeOurs = reason === 'timeout' && local_stall_ms !== null && local_stall_ms > detect_time_ms * OWN_SHARE;
  return mayBeOurs ? `${reason}, we were ${milliseconds(local_stall_ms)} late` : reason;
}

function routes(session: SessionJson): string {
  const held = session.held_until === null ? [] : [`held until ${clock(session.held_until)}`];
  return printable([...held, ...session.routes].join(', '));
}
