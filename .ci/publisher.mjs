// Who publishes the packages, and where their sources are: the one place to change. pack:all writes it into every package.
// npm refuses a package with provenance whose `repository` is not the one that the workflow runs in.

/** OWNER stands for the account that will have the repository. */
const REPOSITORY = 'https://github.com/OWNER/route-liveness';

export const PUBLISHER = {
  author: 'The authors of route-liveness',
  homepage: `${REPOSITORY}#readme`,
  repository: { type: 'git', url: `git+${REPOSITORY}.git` },
  bugs: { url: `${REPOSITORY}/issues` },
};

export function isPlaceholder() {
  return REPOSITORY.includes('/OWNER/');
}
