/** Several promises that are settled together. */

export class Waiters<T> {
  #waiting: { readonly resolve: (value: T) => void; readonly reject: (error: Error) => void }[] = [];

  wait(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  resolve(value: T): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve(value);
  }

  reject(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
