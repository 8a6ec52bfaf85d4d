/** The backup of one registered route as the manager keeps it. */
import type { RegisteredBackup } from '../routes/installer.js';
import type { ManagedSession } from './managed-session.js';

/** A backup whose session was found, or made. */
export interface ManagedBackup extends RegisteredBackup {
  readonly session: ManagedSession | undefined;
}
