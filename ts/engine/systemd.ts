/** What a service tells systemd, by the addon: Node has no datagram sockets of the local kind. */
import { bindingIfAny } from './native/load.js';

/**
 * Sends a state such as `READY=1` to the service manager (sd_notify(3)).
 *
 * @returns false if this process is no service that is to tell (`NOTIFY_SOCKET` is not set), or has no addon
 * @throws Error with the system's code if the service manager cannot be reached
 */
export function notifySystemd(state: string): boolean {
  return bindingIfAny()?.notifySystemd(state) ?? false;
}
