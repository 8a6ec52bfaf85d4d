/** What every socket of the JavaScript engine has: its family and its TOS byte. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

import { bindingIfAny } from '../native/load.js';
import { splitZone } from './zones.js';

/**
 * A socket that is not bound yet. Addresses are numeric, so that a packet that is sent through a bound socket need not wait for a
 * lookup; `bind` must report asynchronously.
 */
export function newSocket(localAddress: string, recvBufferSize: number | undefined): Socket {
  const isV6 = isIPv6(splitZone(localAddress).address);
  let isBound = false;
  const lookup = (address: string, _: object, found: (error: null, address: string, family: number) => void): void => {
    if (isBound) found(null, address, isV6 ? 6 : 4);
    else process.nextTick(found, null, address, isV6 ? 6 : 4);
  };
  const socket = createSocket({
    type: isV6 ? 'udp6' : 'udp4',
    lookup,
    ...(recvBufferSize === undefined ? {} : { recvBufferSize }),
  });
  socket.once('listening', () => {
    isBound = true;
  });
  socket.unref();
  return socket;
}

/** Sets the TOS byte of a bound socket. Node cannot; the addon can, if it loads. It looks at all open files of the process. */
export function markSocket(socket: Socket): void {
  const { address, port } = socket.address();
  try {
    bindingIfAny()?.NativeUdp.markPackets(splitZone(address).address, port);
  } catch {
    // The packets have the default TOS.
  }
}
