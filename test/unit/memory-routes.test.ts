import { MemoryRoutes } from '../../ts/index.js';
import { routeReaderWriterContract } from '../contract/route-reader-writer.js';

const IPV4 = { src: '10.0.0.1', nextHop: '10.0.0.2', otherNextHop: '10.0.0.3' };
const IPV6 = { src: '2001:db8::1', nextHop: '2001:db8::2', otherNextHop: '2001:db8::3' };

routeReaderWriterContract('MemoryRoutes', async (test, family, options) => {
  await test({ routes: new MemoryRoutes(options), ...(family === 'IPv6' ? IPV6 : IPV4) });
});
