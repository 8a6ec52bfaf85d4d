/** What is wrong with a request to the control API. */
import { LivenessError } from '../base/errors.js';
import type { ErrorAnswer } from './control-api.js';

export type RequestIssues = NonNullable<ErrorAnswer['issues']>;

export class RequestError extends LivenessError {
  /** The status of HTTP, 400 to 599. */
  readonly status: number;
  readonly issues: RequestIssues | undefined;
  /** Headers that the answer has beside those of every answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    { issues, headers = {}, cause }: { issues?: RequestIssues; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(code, message, { cause });
    this.status = status;
    this.issues = issues;
    this.headers = headers;
  }
}
