/** What a user can do where the addon does not load. */
import packages from '../../base/optional-packages.cjs';

/** A candidate that did not load, and why. */
export interface Failure {
  /** A path, or the name of a package. */
  readonly name: string;
  /**
   * `missing`: it does not exist; `version`: it belongs to another version of this package; `forbidden`: Node may load no
   * addon; `strange`: it is something else; `broken`: the system cannot load it.
   */
  readonly kind: 'missing' | 'version' | 'forbidden' | 'strange' | 'broken';
  readonly reason: string;
}

/** What helps against the last failure; the others were not found. */
export function adviceFor(platform: string, failures: readonly Failure[]): string[] {
  return [...against(platform, failures.at(-1)), "Without the addon: `engine: 'js'` runs the same protocol, slower (see docs/guide.md)"];
}

function against(platform: string, failure: Failure | undefined): string[] {
  if (process.env['ROUTE_LIVENESS_BINDING']) return ['Unset ROUTE_LIVENESS_BINDING, or set it to the path of an addon of this version'];
  if (!(packages.PLATFORMS as readonly string[]).includes(platform)) return [`There are packages for ${packages.PLATFORMS.join(', ')}`];
  const name = `route-liveness-${platform}`;
  switch (failure?.kind) {
    case 'missing':
    case undefined:
      return [
        'Install optional dependencies: `npm install --include=optional route-liveness`',
        `If node_modules or a lock file comes from another platform, remove it and install again, or add the package: \`npm install ${name}\``,
        `In a bundle: leave \`${name}\` outside of it (external) and install it beside, or let the bundler copy its .node file`,
      ];
    case 'forbidden':
      return ['Start Node with --allow-addons, or without --permission and --no-addons'];
    case 'version':
    case 'strange':
      return [`Install \`${name}\` in the version of route-liveness`];
    case 'broken':
      return [`Install again: \`npm install --force ${name}\`; its folder must be readable, and not be mounted noexec`];
  }
}
