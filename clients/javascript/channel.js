import { abortOf } from "./errors.js";

/**
 * Carries values from a callback to one reader, in order.
 *
 * @template T
 */
export class Channel {
  /** @type {T[]} */
  #values = [];
  /** @type {{error?: unknown} | null} */
  #end = null;
  /** @type {() => void} */
  #wake = () => {};

  /** @param {T} value */
  push(value) {
    if (this.#end === null) this.#values.push(value);
    this.#wake();
  }

  /**
   * End it; what is in it is read first, then the error, where there is one, is thrown.
   *
   * @param {unknown} [error]
   */
  end(error) {
    this.#end ??= { error };
    this.#wake();
  }

  /**
   * Give the values as they come. Throws the signal's reason when it is aborted.
   *
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<T, void, void>}
   */
  async *read(signal) {
    const stop = () => this.#wake();
    signal?.addEventListener("abort", stop);
    try {
      for (;;) {
        if (signal?.aborted) throw abortOf(signal);
        const values = this.#values.splice(0);
        for (const value of values) {
          yield value;
          if (signal?.aborted) throw abortOf(signal);
        }
        if (values.length > 0) continue;
        if (this.#end !== null) {
          if (this.#end.error !== undefined) throw this.#end.error;
          return;
        }
        await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      }
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }
}
