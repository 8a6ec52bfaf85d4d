/** The columns of tables of routes. */
import type { RouteJson } from '../agent/control-api.js';
import { printable } from './printable.js';
import { paintOfState } from './session-columns.js';
import { isInOrder, shownState } from './severity.js';
import type { Column } from './table.js';
import { age, clock } from './times.js';

const MAIN_TABLE = 254;

export function routeColumns(routes: readonly RouteJson[], now: number): Column<RouteJson>[] {
  const several = routes.some(({ manager }) => manager !== routes[0]?.manager);
  return [
    { title: 'ROUTE', text: ({ rt_status }) => rt_status, paint: (route) => (isInOrder(route) ? 'green' : 'red') },
    { title: 'SESSION', text: ({ liveness_status }) => liveness_status, paint: (route) => paintOfState(shownState(route)) },
    { title: 'SINCE', text: ({ liveness_last_updated }) => age(liveness_last_updated, now), right: true },
    ...(several ? [{ title: 'MANAGER', text: ({ manager }: RouteJson) => printable(manager) }] : []),
    { title: 'DESTINATION', text: ({ dst }) => printable(dst) },
    { title: 'VIA', text: ({ next_hop }) => printable(next_hop) },
    { title: 'IFACE', text: ({ iface }) => printable(iface) },
    { title: 'TABLE', text: ({ table }) => (table === MAIN_TABLE ? 'main' : `${table}`), right: true },
    { title: 'PEER', text: ({ peer_ip }) => printable(peer_ip) },
    { title: 'NOTES', text: notes },
  ];
}

function notes({ admin_down, held_until, last_error, restore_at, suppressed_until, origin }: RouteJson): string {
  const said = [
    ...(admin_down ? ['out of service'] : []),
    ...(held_until === null ? [] : [`held until ${clock(held_until)}`]),
    ...(last_error === null ? [] : [last_error]),
    ...(restore_at === null ? [] : [`tried again at ${clock(restore_at)}`]),
    ...(suppressed_until === null ? [] : [`suppressed until ${clock(suppressed_until)}`]),
    ...(origin === 'api' ? ['from the API'] : []),
  ];
  return printable(said.join('; '));
}
