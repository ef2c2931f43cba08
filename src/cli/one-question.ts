/** Attributes asked for again and again: a question that has not been answered yet is not asked once more, so that a mount that hangs keeps one
 * worker thread and not, after a while, all of them. */
import type { NativeBinding } from '../native/binding.js';

export type XattrReader = Pick<NativeBinding, 'getXattr'>;

export function oneQuestionAtATime(reader: XattrReader): XattrReader {
  const pending = new Map<string, Promise<Buffer>>();
  return {
    getXattr: (path, name) => {
      const key = `${path}\0${name}`;
      const asked = pending.get(key) ?? reader.getXattr(path, name).finally(() => pending.delete(key));
      pending.set(key, asked);
      return asked;
    },
  };
}
