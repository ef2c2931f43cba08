/**
 * Serves mirror sets through the addon and fuse-native, and nothing above them: what the tests of the FUSE module mount.
 * Started by mount-child.ts with fork(); plain JavaScript, so that it needs no loader.
 *
 * First message: the options (mount-child.ts, ChildOptions). Then one message a request: { id, ask, args }.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';

const require = createRequire(import.meta.url);
const NO_DATA = -61;
/** How often JavaScript was asked, by operation; and for which attribute names. */
const calls = {};
const names = new Set();

function counted(name, handler) {
  return (...args) => {
    calls[name] = (calls[name] ?? 0) + 1;
    handler(...args);
  };
}

function loadAddon() {
  const holder = { exports: {} };
  process.dlopen(
    holder,
    new URL('../../build/Release/dmiofs.node', import.meta.url).pathname,
    constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL,
  );
  return holder.exports;
}

function handlers(addon, id, options) {
  const attributes = new Map(Object.entries(options.attributes ?? {}));
  return {
    getattr: counted('getattr', (_path, cb) => cb(-2)),
    readdir: counted('readdir', (_path, cb) =>
      cb(
        0,
        options.sets.map((set) => set.name),
      ),
    ),
    getxattr: counted('getxattr', (_path, name, _position, cb) => {
      names.add(name);
      const value = attributes.get(name);
      if (value === undefined) cb(NO_DATA);
      else cb(0, Buffer.from(value));
    }),
    listxattr: counted('listxattr', (_path, cb) => cb(0, [...attributes.keys()])),
    setxattr: counted('setxattr', (_path, name, value, _position, _flags, cb) => {
      names.add(name);
      const text = Buffer.from(value).toString();
      process.send({ event: 'control', text });
      cb(text === 'nonsense' ? -22 : 0);
    }),
    chmod: counted('chmod', (path, mode, cb) => {
      addon.fuseSetAttr(id, path.slice(1), { mode });
      cb(0);
    }),
    chown: counted('chown', (path, uid, gid, cb) => {
      addon.fuseSetAttr(id, path.slice(1), { uid, gid });
      cb(0);
    }),
  };
}

function openSet(addon, set) {
  const legs = set.legs.map((device) => ({ device, sector: 0 }));
  const options = {
    name: set.name,
    count: set.count,
    legs,
    readPolicy: 'primary',
    ioTimeoutMs: 0,
    readOnly: set.readOnly ?? false,
    syncRegionSectors: 1024,
  };
  return addon.openSet(options, (event) => process.send({ event: 'set', kind: event.kind }));
}

function mountOne(addon, Fuse, options) {
  const opened = options.sets.map((set) => openSet(addon, set));
  const sets = options.sets.map((set, index) => ({
    set: opened[index],
    name: set.name,
    mode: set.mode ?? 0o600,
    uid: set.uid ?? 0,
    gid: set.gid ?? 0,
    truncate: set.truncate ?? 'zero',
    cache: set.cache ?? 'auto',
    readOnly: set.readOnly ?? false,
  }));
  const { mountpoint } = options;
  const id = addon.fuseAttach({
    sets,
    // As the daemon (src/fuse/mount.ts), so that `scripts/test stock` means these mounts too.
    stockSession: process.env.DMIOFS_SESSION === 'stock',
    onEnd: async () => {
      process.send({ event: 'told', mountpoint });
      for (const set of opened) await set.stop();
      process.send({ event: 'end', mountpoint });
      if (options.exitAtEnd ?? true) process.exit(0);
    },
  });
  class OurFuse extends Fuse {
    _fuseOptions() {
      const base = [
        'default_permissions',
        'use_ino',
        'attr_timeout=3600',
        'entry_timeout=3600',
        'fsname=test',
        'subtype=dmiofs',
      ];
      if (options.allowOther) base.push('allow_other');
      const stack = options.stock ? [] : ['modules=dmiofs', `dmiofs_mount=${String(id)}`];
      return `-o${[...base, ...stack, ...(options.mountOptions ?? [])].join(',')}`;
    }
  }
  const fuse = new OurFuse(mountpoint, handlers(addon, id, options), { timeout: false });
  fuse.mount((error) =>
    process.send(error ? { event: 'error', message: error.message } : { event: 'mounted', mountpoint }),
  );
  return { id, opened };
}

function start(options) {
  const addon = loadAddon();
  const info = addon.openIo({ engine: options.engine ?? 'threads', maxRunBytes: 1024 * 1024 });
  addon.fuseLoad(require('fuse-shared-library-linux').lib);
  if (options.mlock) addon.protectFromReclaim();
  const Fuse = require('fuse-native');
  const mounts = new Map([[options.mountpoint, mountOne(addon, Fuse, options)]]);
  const first = () => mounts.get(options.mountpoint);
  const asks = {
    counters: () => addon.fuseCounters(first().id),
    session: () => addon.fuseSession(first().id),
    calls: () => ({ calls, names: [...names] }),
    engine: () => info,
    exit: (code) => process.exit(code),
    block: (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds),
    mountAnother: (more) => void mounts.set(more.mountpoint, mountOne(addon, Fuse, more)),
    stopSets: async () => {
      for (const set of first().opened) await set.stop();
    },
  };
  process.on('message', async ({ id, ask, args }) => {
    process.send({ id, value: await asks[ask](...args) });
  });
}

process.once('message', start);
process.on('disconnect', () => process.exit(1));
