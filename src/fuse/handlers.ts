/**
 * The operations that JavaScript serves: directory listings, values of attributes, control verbs, chmod and chown. All else is the module's
 * (native/fusemod/). Every handler answers exactly once, with an integer: an operation that is never answered holds its caller for ever, one
 * that is answered twice corrupts the next.
 */
import { constants } from 'node:os';
import type { Logger } from 'pino';
import { DmiofsError } from '../errors.js';
import type { Standing } from '../mirror/event.js';
import type { MirrorSet } from '../mirror/mirror-set.js';
import type { MountSummary } from '../mirror/status.js';
import { isNativeError } from '../native/error.js';
import {
  type AttributeSource,
  CONTROL_ATTRIBUTE,
  MOUNT_ATTRIBUTE_NAMES,
  mountAttribute,
  setAttribute,
  setAttributeNames,
} from './attributes.js';
import type { EventJournal } from './event-journal.js';
import { runControl } from './control/verbs.js';

const { EACCES, EINVAL, EIO, ENODATA, ENOENT, EPERM } = constants.errno;

export interface HandlerContext {
  readonly sets: ReadonlyMap<string, MirrorSet>;
  readonly status: () => MountSummary;
  readonly events: EventJournal;
  readonly setAttr: (name: string, attr: { mode?: number; uid?: number; gid?: number }) => void;
  readonly log: Logger;
}

type Answer = (err: number, ...values: unknown[]) => void;

/** 0 or a negative errno, with what goes back beside it. */
type Outcome = readonly [err: number, ...values: unknown[]];

function toErrno(error: unknown): number {
  if (isNativeError(error)) return -error.errno;
  if (error instanceof DmiofsError) return -(error.errno ?? EINVAL);
  return -EIO;
}

/** Makes a handler that answers once whatever happens. */
function handler<Args extends readonly unknown[]>(
  log: Logger,
  name: string,
  run: (...args: Args) => Outcome | Promise<Outcome>,
): (...args: [...Args, Answer]) => void {
  return (...all) => {
    const answer = all.at(-1) as Answer;
    const args = all.slice(0, -1) as unknown as Args;
    const settle = async (): Promise<Outcome> => {
      try {
        return await run(...args);
      } catch (error) {
        log.error(
          { operation: name, error: error instanceof Error ? error.message : String(error) },
          'an operation failed',
        );
        return [toErrno(error)];
      }
    };
    void settle().then((outcome) => {
      answer(...(outcome as [number, ...unknown[]]));
    });
  };
}

export function makeHandlers(context: HandlerContext): Readonly<Record<string, unknown>> {
  const { sets, log } = context;
  const setAt = (path: string): MirrorSet | undefined => sets.get(path.slice(1));
  const sourceOf = (set: MirrorSet): AttributeSource => ({
    status: () => set.status(),
    map: () => set.syncMap(),
    statistics: () => set.statistics(),
    events: () => context.events.list(set.name, set.standing()),
    scrub: (first) => set.scrubPage(first),
  });
  const standing = (): readonly Standing[] => [...sets.values()].flatMap((set) => set.standing());
  const unchanged = 0xffff_ffff; // of chown: (uid_t) -1

  const setAttr = (path: string, attr: { mode?: number; uid?: number; gid?: number }): Outcome => {
    if (setAt(path) === undefined) return [-EPERM];
    context.setAttr(path.slice(1), attr);
    return [0];
  };

  return {
    // The module answers getattr; this is for what asks before it is there.
    getattr: handler(log, 'getattr', () => [-ENOENT]),
    readdir: handler(log, 'readdir', (path: string) =>
      path === '/' ? [0, ['.', '..', ...sets.keys()]] : [-ENOENT],
    ),
    chmod: handler(log, 'chmod', (path: string, mode: number) => setAttr(path, { mode: mode & 0o7777 })),
    chown: handler(log, 'chown', (path: string, uid: number, gid: number) =>
      setAttr(path, {
        ...(uid >>> 0 === unchanged ? {} : { uid: uid >>> 0 }),
        ...(gid >>> 0 === unchanged ? {} : { gid: gid >>> 0 }),
      }),
    ),
    listxattr: handler(log, 'listxattr', (path: string) => {
      if (path === '/') return [0, MOUNT_ATTRIBUTE_NAMES];
      const set = setAt(path);
      if (set === undefined) return [-ENOENT];
      return [0, setAttributeNames(set.native.snapshot().legs.length, set.scrubPage(0) !== undefined)];
    }),
    getxattr: handler(log, 'getxattr', (path: string, name: string) => {
      if (name === CONTROL_ATTRIBUTE) return [-EACCES];
      const set = setAt(path);
      const value =
        path === '/'
          ? mountAttribute(context.status, () => context.events.list(undefined, standing()), name)
          : set === undefined
            ? undefined
            : setAttribute(sourceOf(set), name);
      return value === undefined ? [-ENODATA] : [0, Buffer.from(value)];
    }),
    setxattr: handler(log, 'setxattr', async (path: string, name: string, value: Buffer) => {
      const set = setAt(path);
      if (set === undefined || name !== CONTROL_ATTRIBUTE) return [-EPERM];
      const text = value.toString('utf8').replace(/\0+$/, '');
      try {
        await runControl(set, text);
        log.info({ set: set.name, verb: text }, 'control');
        return [0];
      } catch (error) {
        log.error(
          { set: set.name, verb: text, reason: error instanceof Error ? error.message : String(error) },
          'a control verb was refused',
        );
        return [toErrno(error)];
      }
    }),
  };
}
