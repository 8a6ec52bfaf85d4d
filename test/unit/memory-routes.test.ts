import { MemoryRoutes } from '../../ts/index.js';
import { routeReaderWriterContract } from '../contract/route-reader-writer.js';

routeReaderWriterContract('MemoryRoutes', async (test, options) => {
  await test({ routes: new MemoryRoutes(options), src: '10.0.0.1', nextHop: '10.0.0.2', otherNextHop: '10.0.0.3' });
});
