/** The types of `addons.cjs`. */
declare const addons: {
  /** The platforms that have a package, named as napi-rs names them. */
  readonly PLATFORMS: readonly ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];
  /** Requires the package of a platform. The addon is its exports; some bundlers put the path of a file in their place. */
  requireAddon(platform: (typeof addons.PLATFORMS)[number]): { readonly addon: unknown } | { readonly error: unknown };
  /** The path of the file; `undefined` in a bundle of ES modules. */
  readonly FILENAME: string | undefined;
};
export = addons;
