/** Suggestions for misspelt names. */
import leven from 'leven';

/** " (did you mean `txMin`?)" if a known name is near to the given one, else nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  // More than a third of the letters wrong is another name.
  const maxDistance = Math.max(1, Math.floor(name.length / 3));
  const near = known
    .map((candidate) => ({ candidate, distance: leven(name.toLowerCase(), candidate.toLowerCase(), { maxDistance: maxDistance + 1 }) }))
    .filter(({ distance }) => distance <= maxDistance)
    .sort((first, second) => first.distance - second.distance);
  return near[0] === undefined ? '' : ` (did you mean \`${near[0].candidate}\`?)`;
}
