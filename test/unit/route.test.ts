import { describe, expect, it } from 'vitest';

import { formatPeer, formatRoute, formatRouteKey, routeKey } from '../../ts/index.js';
import { formatClientVersion, parseClientVersion } from '../../ts/protocol/client-version.js';
import { stateFromWire, stateToWire } from '../../ts/protocol/state.js';
import { packAddress, addressText, isUnicast, parsePrefix } from '../../ts/base/address.js';
import { formatSlot, parseInterface, parseListedRoute, parseRoute, peerOf } from '../../ts/base/route.js';

const ROUTE = { table: 254, dst: '10.9.0.7/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const ROUTE6 = { table: 254, dst: '2001:db8:9::7/128', src: '2001:db8::1', nextHop: 'fe80::2', protocol: 186 };

describe('a route', () => {
  it('has a key of everything that distinguishes it from other routes', () => {
    const key = formatRouteKey(routeKey('eth0', ROUTE));
    expect(formatRouteKey(routeKey('eth0', { ...ROUTE, noUninstall: true, priority: 0 }))).toBe(key);
    for (const other of [{ table: 100 }, { dst: '10.9.0.8/32' }, { src: '10.0.0.3' }, { nextHop: '10.0.0.3' }, { priority: 1 }]) {
      expect(formatRouteKey(routeKey('eth0', { ...ROUTE, ...other }))).not.toBe(key);
    }
    expect(formatRouteKey(routeKey('eth1', ROUTE))).not.toBe(key);
  });

  it('is formatted as by `ip route`', () => {
    expect(formatRoute({ ...ROUTE, priority: 50 })).toBe('10.9.0.7/32 via 10.0.0.2 src 10.0.0.1 table 254 proto 186 metric 50');
    expect(formatPeer({ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' })).toBe(
      'interface: eth0, localIP: 10.0.0.1, peerIP: 10.0.0.2',
    );
  });

  it.each([
    ['table', 0],
    ['table', 2 ** 32],
    ['dst', '10.9.0.7'],
    ['dst', '10.9.0.7/33'],
    ['dst', '10.9.0.7/24'],
    ['dst', '2001:db8::1/129'],
    ['src', '0.0.0.0'],
    ['src', '::1'],
    ['nextHop', '224.0.0.5'],
    ['nextHop', undefined],
    ['protocol', 0],
    ['protocol', 256],
    ['priority', -1],
    ['noUninstall', 'yes'],
  ])('with %s %s is refused, and the error names the field', (field, value) => {
    expect(() => parseRoute({ ...ROUTE, [field]: value })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ROUTE' }));
    expect(() => parseRoute({ ...ROUTE, [field]: value })).toThrow(`route.${field}`);
  });

  it.each([
    ['dst', '2001:db8::1/64'],
    ['dst', '::ffff:10.0.0.0/120'],
    ['src', '::'],
    ['src', '10.0.0.1'],
    ['src', 'ff02::1'],
    ['nextHop', '10.0.0.2'],
    ['nextHop', 'fe80::2%eth0'],
    ['nextHop', '::'],
  ])('of IPv6 with %s %s is refused, and the error names the field', (field, value) => {
    expect(() => parseRoute({ ...ROUTE6, [field]: value })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ROUTE' }));
    expect(() => parseRoute({ ...ROUTE6, [field]: value })).toThrow(`route.${field}`);
  });

  it('of IPv4 with an IPv6 next hop or source is refused', () => {
    for (const mixed of [{ nextHop: 'fe80::2' }, { src: '2001:db8::1' }, { dst: '2001:db8:9::/64' }]) {
      expect(() => parseRoute({ ...ROUTE, ...mixed })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ROUTE' }));
    }
  });

  it('of IPv6 is parsed to canonical form, has one key and one slot whatever its texts, and may lead through a link-local address', () => {
    const other = { ...ROUTE6, dst: '2001:DB8:9:0::7/128', src: '2001:db8:0:0:0:0:0:1', nextHop: 'FE80:0::2', priority: 1024 };
    expect(parseRoute(other)).toEqual(ROUTE6);
    expect(parseRoute({ ...ROUTE6, priority: 0 })).toEqual(ROUTE6);
    expect(parseRoute({ ...ROUTE6, priority: 5 })).toEqual({ ...ROUTE6, priority: 5 });
    expect(formatRouteKey(routeKey('eth0', other))).toBe(formatRouteKey(routeKey('eth0', ROUTE6)));
    expect(formatSlot(other)).toBe('table 254, destination 2001:db8:9::7/128, priority 1024');
    expect(formatSlot(ROUTE6)).toBe(formatSlot(other));
    expect(formatRoute(ROUTE6)).toBe('2001:db8:9::7/128 via fe80::2 src 2001:db8::1 table 254 proto 186 metric 1024');
  });

  it('is listed without a source as the unspecified address of its family', () => {
    expect(parseListedRoute({ ...ROUTE6, src: '::' })).toEqual({ ...ROUTE6, src: '::' });
    expect(parseListedRoute({ ...ROUTE, src: '0.0.0.0' })).toEqual({ ...ROUTE, src: '0.0.0.0' });
    expect(() => parseListedRoute({ ...ROUTE6, src: '0.0.0.0' })).toThrow('route.src');
  });

  it('has the peer of its /32, or the given one', () => {
    expect(peerOf(ROUTE, undefined)).toBe('10.9.0.7');
    const network = { ...ROUTE, dst: '10.9.0.0/24' };
    expect(peerOf(network, '10.0.0.2')).toBe('10.0.0.2');
    expect(() => peerOf(network, undefined)).toThrow('/32');
    expect(() => peerOf(ROUTE, 'peer.example')).toThrow('peerIP');
  });

  it.each(['', 'a/b', 'sixteen-letters-', 'a b', '.', undefined])('on an interface named %s is refused', (name) => {
    expect(() => parseInterface(name)).toThrow(expect.objectContaining({ code: 'ERR_NO_SUCH_INTERFACE' }));
  });
});

describe('an address', () => {
  it.each(['0.0.0.0', '1.2.3.4', '127.255.0.1', '128.0.0.0', '223.1.2.255', '255.255.255.255'])(
    '%s survives the conversion to a number and back',
    (text) => {
      expect(addressText(packAddress(text))).toBe(text);
    },
  );

  it('has a number of its own, whatever its highest bit', () => {
    const texts = ['0.0.0.1', '1.0.0.0', '127.255.255.255', '128.0.0.0', '255.255.255.255'];
    expect(new Set(texts.map(packAddress)).size).toBe(texts.length);
    expect(isUnicast('223.255.255.255')).toBe(true);
    expect(isUnicast('224.0.0.0')).toBe(false);
    expect(parsePrefix('192.168.0.0/16')).toEqual({ address: '192.168.0.0', length: 16 });
    expect(parsePrefix('192.168.128.0/16')).toBeUndefined();
  });
});

describe('a version', () => {
  it.each([
    ['1.2.3', [1, 2, 3, 0], '1.2.3'],
    ['1.2.3-alpha', [1, 2, 3, 1], '1.2.3-alpha'],
    ['1.2.3-beta.2', [1, 2, 3, 2], '1.2.3-beta'],
    ['1.2.3-rc.1', [1, 2, 3, 3], '1.2.3-rc'],
    ['1.2.3-dev', [1, 2, 3, 4], '1.2.3-dev'],
    ['0.8.1~git20240101.abc', [0, 8, 1, 4], '0.8.1-dev'],
    ['1.2.3+build.7', [1, 2, 3, 0], '1.2.3'],
  ])('%s survives the conversion to four bytes', (text, bytes, back) => {
    expect(parseClientVersion(text)).toEqual(bytes);
    expect(formatClientVersion(bytes as [number, number, number, number])).toBe(back);
  });

  it.each(['', '1.2', '1.2.256', 'x.y.z', '1.2.3.4'])('%s is refused', (text) => {
    expect(parseClientVersion(text)).toBeUndefined();
  });
});

it('stateToWire and stateFromWire are inverse, and a number without a state is unknown', () => {
  for (const wire of [0, 1, 2, 3]) expect(stateToWire(stateFromWire(wire) as 'up')).toBe(wire);
  expect(stateFromWire(9)).toBe('unknown(9)');
});
