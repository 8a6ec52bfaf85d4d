/** The newest glibc that the addon names, as `GLIBC_2.17`; empty where it names none. */
export function glibcOf(file: string): string;
