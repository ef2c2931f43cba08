/**
 * mount.dmiofs: what mount(8) calls for `mount -t dmiofs CONFIG MOUNTPOINT` and lines of /etc/fstab.
 *
 *     mount.dmiofs CONFIG MOUNTPOINT [-sfnv] [-o OPTIONS]
 *
 * mount(8) hands on the options that it has not done itself, with `rw` or `ro` first, and passes this program's exit code on.
 */
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readText } from '../config/yaml.js';
import { DmiofsError, isDmiofsError, messageOf } from '../errors.js';
import { checkMountpoint, clearMountpoint } from '../fuse/mount-lock.js';
import { native } from '../native/binding.js';
import { dmiofsMountOn } from '../util/mountinfo.js';
import { EXIT } from './exit.js';
import { type MountOptionSet, mountOptionArgs, parseMountOptions } from './mount-options.js';
import { startDaemon } from './start-daemon.js';

const USAGE = 'usage: mount.dmiofs CONFIG MOUNTPOINT [-sfnv] [-o OPTIONS]';

interface Request {
  readonly config: string;
  readonly mountpoint: string;
  readonly options: MountOptionSet;
  /** -f: all but the mount itself. */
  readonly fake: boolean;
  readonly verbose: boolean;
}

const OPTIONS = {
  sloppy: { type: 'boolean', short: 's' },
  fake: { type: 'boolean', short: 'f' },
  // There has been no mtab to write for long.
  'no-mtab': { type: 'boolean', short: 'n' },
  verbose: { type: 'boolean', short: 'v' },
  options: { type: 'string', short: 'o', multiple: true },
  // mount(8) gives it with a subtype: -t fuse.dmiofs.
  types: { type: 'string', short: 't' },
  help: { type: 'boolean', short: 'h' },
} as const;

function parse(args: readonly string[]): Request | undefined {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new DmiofsError('ERR_DMIOFS_USAGE', `${messageOf(error)}\n${USAGE}`);
  }
  const { values, positionals } = parsed;
  if (values.help === true) return undefined;
  const [config, mountpoint] = positionals;
  if (config === undefined || mountpoint === undefined || positionals.length > 2)
    throw new DmiofsError('ERR_DMIOFS_USAGE', `a config and a mountpoint are wanted\n${USAGE}`);
  return {
    config: resolve(config),
    mountpoint: resolve(mountpoint),
    options: parseMountOptions(values.options ?? [], values.sloppy ?? false),
    fake: values.fake ?? false,
    verbose: values.verbose ?? false,
  };
}

/** Only the flags of a mount can change while it is used; the kernel does that, and mount(8) asks it when no helper is to. */
function remount({ mountpoint, options, verbose }: Request): number {
  if (dmiofsMountOn(mountpoint) === undefined)
    throw new DmiofsError('ERR_DMIOFS_NOT_MOUNTED', `nothing of dmiofs is mounted on ${mountpoint}`);
  const flags = ['remount', options.readOnly ? 'ro' : 'rw', ...options.generic];
  try {
    execFileSync('mount', ['-i', '-o', flags.join(','), '--', mountpoint], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    throw new DmiofsError('ERR_DMIOFS_MOUNT', messageOf(error), { cause: error });
  }
  if (verbose)
    process.stdout.write(`mount.dmiofs: ${mountpoint} has the flags ${flags.slice(1).join(',')}\n`);
  return EXIT.ok;
}

/** What can be said without opening a leg. */
function look({ config, mountpoint, fake }: Request): void {
  // A dead mount cannot be looked at.
  if (dmiofsMountOn(mountpoint) === undefined) checkMountpoint(mountpoint);
  // The daemon reads it, and tells all that is wrong with it.
  if (fake) readText(config);
}

async function mount(request: Request): Promise<number> {
  const { config, mountpoint, options, fake, verbose } = request;
  if (options.remount) return fake ? EXIT.ok : remount(request);
  try {
    look(request);
  } catch (error) {
    throw isDmiofsError(error)
      ? error
      : new DmiofsError('ERR_DMIOFS_MOUNT', messageOf(error), { cause: error });
  }
  if (fake) {
    if (verbose) process.stdout.write(`mount.dmiofs: ${config} would be mounted on ${mountpoint}\n`);
    return EXIT.ok;
  }
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      interrupt.abort();
    });
  const { ok, pid, message, exitCode } = await startDaemon(
    ['mount', config, mountpoint, ...mountOptionArgs(options)],
    interrupt.signal,
  );
  if (ok) {
    if (verbose)
      process.stdout.write(
        `mount.dmiofs: ${config} mounted on ${mountpoint}, served by pid ${String(pid)}\n`,
      );
    return EXIT.ok;
  }
  if (interrupt.signal.aborted) {
    // It may have been ended between its mount(2) and the first request.
    if (dmiofsMountOn(mountpoint) !== undefined) await clearMountpoint(native(), mountpoint);
    say('interrupted: nothing is mounted');
    return EXIT.interrupted;
  }
  say(message);
  return exitCode;
}

function say(text: string): void {
  for (const line of text.split('\n')) process.stderr.write(`mount.dmiofs: ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const request = parse(args);
    if (request !== undefined) return await mount(request);
    process.stdout.write(`${USAGE}\n`);
    return EXIT.ok;
  } catch (error) {
    say(messageOf(error));
    if (!isDmiofsError(error)) return EXIT.internal;
    return error.code === 'ERR_DMIOFS_USAGE' ? EXIT.usage : EXIT.mountFailure;
  }
}

process.exitCode = await main(process.argv.slice(2));
process.exit();
