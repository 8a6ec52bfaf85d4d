/**
 * What managers publish for whoever instruments a process and does not have its managers (node:diagnostics_channel): on the
 * channels `route-liveness:transition`, `route-liveness:route`, `route-liveness:hold` and `route-liveness:error`. A message is
 * `{ manager, event }`, the event that listeners of the manager get.
 */
import { channel } from 'node:diagnostics_channel';

const CHANNELS = {
  transition: channel('route-liveness:transition'),
  route: channel('route-liveness:route'),
  hold: channel('route-liveness:hold'),
  error: channel('route-liveness:error'),
};

/** Node turns what a subscriber throws into an uncaught exception of the process: that is its contract, not ours to change. */
export function publish(name: keyof typeof CHANNELS, manager: object, event: unknown): void {
  const known = CHANNELS[name];
  if (known.hasSubscribers) known.publish({ manager, event });
}
