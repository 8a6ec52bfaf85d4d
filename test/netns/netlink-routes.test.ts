import type { Route } from '../../ts/index.js';
import { routeReaderWriterContract } from '../contract/route-reader-writer.js';
import { Agent } from './agent.js';
import { describeLab, Lab } from './lab.js';

describeLab('NetlinkRoutes', [], () => {
  routeReaderWriterContract('NetlinkRoutes, in the tables of a real kernel', async (test, family, options = { takeOver: false }) => {
    const lab = new Lab();
    try {
      const agent = new Agent(lab, lab.one);
      await agent.call('backend', options);
      const routes = {
        routeAdd: (route: Route) => agent.call<undefined>('routeAdd', route),
        routeDelete: (route: Route) => agent.call<undefined>('routeDelete', route),
        routeByProtocol: (protocol: number) => agent.call<Route[]>('routeByProtocol', protocol),
      };
      if (family === 'IPv6') lab.addIPv6();
      const ends =
        family === 'IPv6'
          ? { src: lab.one.addressIPv6, nextHop: lab.two.addressIPv6, otherNextHop: '2001:db8:201::3' }
          : { src: lab.one.address, nextHop: lab.two.address, otherNextHop: '10.201.0.3' };
      await test({ routes, ...ends });
    } finally {
      lab.close();
    }
  });
});
