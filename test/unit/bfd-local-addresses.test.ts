/** Which addresses are this host's, on interfaces that Node does not list: those without carrier. */
import { platform } from 'node:os';

import { describe, expect, it, vi } from 'vitest';

import { isLocalAddress } from '../../ts/base/host-interfaces.js';

vi.mock('node:os', async (importOriginal) => ({ ...(await importOriginal<typeof import('node:os')>()), networkInterfaces: () => ({}) }));

describe.skipIf(platform() !== 'linux')('an address of an interface that Node does not list', () => {
  it('is local if the kernel has it, in any form of IPv6', () => {
    expect(['127.0.0.1', '::1', '0:0::1'].map(isLocalAddress)).toEqual([true, true, true]);
  });

  it('is not local if the kernel does not have it', () => {
    expect(['192.0.2.1', '2001:db8::1', '::11'].map(isLocalAddress)).toEqual([false, false, false]);
  });
});
