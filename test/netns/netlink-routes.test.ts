import type { Route } from '../../ts/index.js';
import { routeReaderWriterContract } from '../contract/route-reader-writer.js';
import { Agent } from './agent.js';
import { describeLab, Lab } from './lab.js';

describeLab('NetlinkRoutes', [], () => {
  routeReaderWriterContract('NetlinkRoutes, in the tables of a real kernel', async (test, options = { takeOver: false }) => {
    const lab = new Lab();
    try {
      const agent = new Agent(lab, lab.one);
      await agent.call('backend', options);
      const routes = {
        routeAdd: (route: Route) => agent.call<undefined>('routeAdd', route),
        routeDelete: (route: Route) => agent.call<undefined>('routeDelete', route),
        routeByProtocol: (protocol: number) => agent.call<Route[]>('routeByProtocol', protocol),
      };
      await test({ routes, src: lab.one.address, nextHop: lab.two.address, otherNextHop: '10.201.0.3' });
    } finally {
      lab.close();
    }
  });
});
