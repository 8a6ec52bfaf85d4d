/** An event of an agent as a line of text. */
import type { AgentEvent, HoldEvent, ReloadEvent, RouteEvent, TransitionEvent } from '../agent/control-api.js';
import type { Paint } from './paint.js';
import { printable } from './printable.js';
import { clock, milliseconds } from './times.js';

export interface EventText {
  /** What happened, in a word. */
  readonly kind: string;
  readonly text: string;
  readonly paint: Paint | undefined;
}

export function eventText(event: AgentEvent): EventText {
  const { kind, text, paint } = described(event);
  return { kind, text: printable(text), paint };
}

function described(event: AgentEvent): EventText {
  switch (event.type) {
    case 'transition':
      return transition(event);
    case 'route':
      return route(event);
    case 'hold':
    case 'release':
      return hold(event);
    case 'reload':
      return reload(event);
    case 'gap':
      return {
        kind: 'gap',
        text: `what happened between event ${event.after} and event ${event.before} is not there any more`,
        paint: 'yellow',
      };
    default:
      // An agent that is newer than this program.
      return { kind: 'other', text: JSON.stringify(event), paint: undefined };
  }
}

function transition(event: TransitionEvent): EventText {
  const { from, to, reason, count, silence_ms, local_stall_ms, remote_diag } = event;
  const details = [
    ...(to === 'down' && reason !== 'none' ? [reason] : []),
    ...(silence_ms === null ? [] : [`silent for ${milliseconds(silence_ms)}`]),
    ...(to === 'down' && reason === 'timeout' ? [`own delay ${milliseconds(local_stall_ms)}`] : []),
    ...(remote_diag === null || remote_diag === 'none' ? [] : [`the peer says ${remote_diag}`]),
    ...(count > 1 ? [`${count} transitions`] : []),
  ];
  const why = details.length === 0 ? '' : ` (${details.join(', ')})`;
  const paint = to === 'up' ? 'green' : to === 'down' ? 'red' : 'yellow';
  return { kind: to, text: `${sessionOf(event)}: ${from} → ${to}${why}`, paint };
}

function route({ op, ok, dst, next_hop, iface, error, duration_ms }: RouteEvent): EventText {
  const done = op === 'add' ? 'installed' : 'withdrawn';
  const name = `${dst} via ${next_hop} on ${iface}`;
  if (ok) return { kind: 'route', text: `${name} ${done} in ${duration_ms.toFixed(2)} ms`, paint: undefined };
  return { kind: 'route', text: `${name} could not be ${done}: ${error ?? 'no reason given'}`, paint: 'red' };
}

function hold({ type, manager, peer_ip, held_until, note }: HoldEvent): EventText {
  const what = peer_ip === null ? `all sessions of ${manager}` : `sessions with ${peer_ip} of ${manager}`;
  const until = held_until === null ? '' : ` until ${clock(held_until)}`;
  return { kind: type, text: `${what}${until}${note === null ? '' : `: ${note}`}`, paint: 'yellow' };
}

function reload({ ok, added, removed, changed, error }: ReloadEvent): EventText {
  if (!ok) return { kind: 'reload', text: `refused, nothing was changed: ${error ?? 'no reason given'}`, paint: 'red' };
  return { kind: 'reload', text: `${added} added, ${removed} removed, ${changed} changed`, paint: undefined };
}

function sessionOf({ peer_ip, iface, local_ip }: TransitionEvent): string {
  return `${peer_ip} on ${iface} from ${local_ip}`;
}
