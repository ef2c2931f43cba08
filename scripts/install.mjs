// scripts/install: what goes where, and a manifest of it by which it is taken away again.
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, normalize, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
const USAGE = 'usage: scripts/install [--prefix=/usr/local] [--destdir=DIR] [--uninstall]';
/** Where systemd and man look without being told. */
const KNOWN_PREFIXES = ['/usr', '/usr/local'];
/** What the committed units and pages are written for. */
const DEFAULT_PREFIX = '/usr/local';
const addon = 'build/Release/dmiofs.node';

const say = (text) => console.log(`install: ${text}`);
function fail(text, code = 1) {
  console.error(`install: ${text}`);
  process.exit(code);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        prefix: { type: 'string', default: DEFAULT_PREFIX },
        destdir: { type: 'string', default: '' },
        uninstall: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    if (!values.prefix.startsWith('/') || normalize(values.prefix) === '/') {
      fail(`--prefix=${values.prefix}: an absolute path below / is wanted`, 2);
    }
    return {
      prefix: normalize(values.prefix).replace(/\/$/, ''),
      destdir: values.destdir === '' ? '' : resolve(values.destdir),
      uninstall: values.uninstall,
    };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`, 2);
  }
}

const { prefix, destdir, uninstall } = options();
const home = `${prefix}/lib/dmiofs`;
const manifestPath = `${home}/manifest`;
/** A path of the installed system, where it is put now. */
const placed = (path) => join(destdir, path);
const isThere = (path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Lines `file PATH` and `folder PATH`, in the order in which they were made. */
class Manifest {
  lines = [];

  static read() {
    const manifest = new Manifest();
    if (!existsSync(placed(manifestPath))) return undefined;
    manifest.lines = readFileSync(placed(manifestPath), 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    return manifest;
  }

  /** Makes a folder and those above it; only the ones that were not there are ours. */
  folder(path) {
    if (path === '/' || isThere(placed(path))) return;
    this.folder(dirname(path));
    mkdirSync(placed(path), { mode: 0o755 });
    chmodSync(placed(path), 0o755);
    this.lines.push(`folder ${path}`);
  }

  /** Made new, never written over: a program that runs keeps the file it has open. */
  #file(path, make) {
    this.folder(dirname(path));
    const fresh = `${placed(path)}.new`;
    rmSync(fresh, { force: true });
    make(fresh);
    renameSync(fresh, placed(path));
    this.lines.push(`file ${path}`);
  }

  write(path, text, mode = 0o644) {
    this.#file(path, (to) => {
      writeFileSync(to, text);
      chmodSync(to, mode);
    });
  }

  copy(from, path) {
    const mode = lstatSync(from).mode & 0o111 ? 0o755 : 0o644;
    this.#file(path, (to) => {
      cpSync(from, to);
      chmodSync(to, mode);
    });
  }

  link(target, path) {
    this.#file(path, (to) => symlinkSync(target, to));
  }

  tree(from, path, wanted = () => true) {
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const [inner, to] = [join(from, entry.name), `${path}/${entry.name}`];
      if (!wanted(inner)) continue;
      if (entry.isDirectory()) this.tree(inner, to, wanted);
      else if (entry.isFile()) this.copy(inner, to);
    }
  }

  save() {
    // Its own lines first: they are the last to go.
    writeFileSync(placed(manifestPath), `${this.lines.join('\n')}\n`);
  }

  /** Takes away all but what `keep` holds; a folder only when nothing else is in it. */
  remove(keep = new Set()) {
    for (const line of [...this.lines].reverse()) {
      const path = line.slice(line.indexOf(' ') + 1);
      if (keep.has(line)) continue;
      if (line.startsWith('file ')) {
        rmSync(placed(path), { force: true });
      } else {
        try {
          rmdirSync(placed(path));
        } catch (error) {
          if (error.code !== 'ENOENT') say(`left: ${path}, which holds what was not installed`);
        }
      }
    }
  }
}

/** Packages that the program runs with, as npm has locked them; the parts for other systems are left out. */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(top, 'package-lock.json'), 'utf8'));
  const others = /^node_modules\/fuse-shared-library-(darwin|linux-arm)$/;
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true && !others.test(path))
    .map(([path]) => path)
    .filter((path) => existsSync(join(top, path)));
}

const isForOthers = (path) =>
  /\/(node_modules|darwin-[^/]+|win32-[^/]+)$|\.(map|md|d\.ts|d\.cts|d\.mts)$/.test(path);

/** Where mount(8) looks; on a system whose /sbin is /usr/sbin, a package puts it there. */
function mountFolder() {
  try {
    return realpathSync('/sbin');
  } catch {
    return '/sbin';
  }
}

function install() {
  for (const needed of ['dist/cli/run.js', addon, 'node_modules']) {
    if (!existsSync(join(top, needed))) fail(`${needed} is not here: run scripts/setup first`);
  }
  if (destdir !== '') mkdirSync(destdir, { recursive: true });
  const former = Manifest.read();
  const made = new Manifest();
  // The folders of the installation before stay ours.
  made.lines =
    former?.lines.filter((line) => line.startsWith('folder ') && isThere(placed(line.slice(7)))) ?? [];
  try {
    put(made);
  } catch (error) {
    made.remove(new Set(former?.lines));
    throw error;
  }
  made.save();
  former?.remove(new Set(made.lines));
  say(`installed under ${placed(prefix)}; scripts/install --uninstall with the same options takes it away`);
  if (destdir === '' && !KNOWN_PREFIXES.includes(prefix)) {
    say(`systemd does not look under ${prefix}: systemctl link ${prefix}/lib/systemd/system/dmiofs@.service`);
  }
}

function put(made) {
  made.folder(home);
  made.lines.push(`file ${manifestPath}`);

  made.tree(join(top, 'dist'), `${home}/dist`, (path) => !/\.(map|tsbuildinfo)$/.test(path));
  made.copy(join(top, addon), `${home}/${addon}`);
  made.copy(join(top, 'package.json'), `${home}/package.json`);
  for (const path of productionPackages()) {
    made.tree(join(top, path), `${home}/${path}`, (inner) => !isForOthers(inner));
  }
  made.link(process.execPath, `${home}/build/node`);
  made.copy(join(top, 'bin/dmiofs'), `${home}/bin/dmiofs`);
  made.link('dmiofs', `${home}/bin/mount.dmiofs`);

  const program = (path, name) => made.link(relative(dirname(path), `${home}/bin/${name}`), path);
  program(`${prefix}/bin/dmiofs`, 'dmiofs');
  program(`${prefix}/sbin/mount.dmiofs`, 'mount.dmiofs');
  // As fuse.dmiofs is what the kernel calls such a mount, mount(8) looks for its helper by that name when it is to be remounted.
  for (const name of ['mount.dmiofs', 'mount.fuse.dmiofs']) {
    const path = `${mountFolder()}/${name}`;
    if (path !== `${prefix}/sbin/mount.dmiofs`) made.link(`${home}/bin/mount.dmiofs`, path);
  }

  for (const name of existsSync(join(top, 'man')) ? readdirSync(join(top, 'man')) : []) {
    const section = /\.([58])$/.exec(name)?.[1];
    if (section !== undefined) made.copy(join(top, 'man', name), `${prefix}/share/man/man${section}/${name}`);
  }
  const completion = (name) => join(top, 'config/completion', name);
  if (existsSync(completion('dmiofs.bash')))
    made.copy(completion('dmiofs.bash'), `${prefix}/share/bash-completion/completions/dmiofs`);
  if (existsSync(completion('_dmiofs')))
    made.copy(completion('_dmiofs'), `${prefix}/share/zsh/site-functions/_dmiofs`);

  const units = readdirSync(join(top, 'config/systemd'));
  for (const name of units.filter((unit) => unit.startsWith('dmiofs'))) {
    const text = readFileSync(join(top, 'config/systemd', name), 'utf8');
    made.write(
      `${prefix}/lib/systemd/system/${name}`,
      text.replaceAll(`${DEFAULT_PREFIX}/bin/`, `${prefix}/bin/`),
    );
  }
  made.copy(join(top, 'config/tmpfiles.d/dmiofs.conf'), `${prefix}/lib/tmpfiles.d/dmiofs.conf`);

  // Laid out as in the checkout, so that the pages' links lead somewhere.
  const doc = `${prefix}/share/doc/dmiofs`;
  made.tree(join(top, 'config'), `${doc}/config`, (path) => /\.(yaml|json)$/.test(path));
  for (const name of units.filter((unit) => unit.endsWith('.mount'))) {
    made.copy(join(top, 'config/systemd', name), `${doc}/config/systemd/${name}`);
  }
  for (const name of readdirSync(top).filter((file) => file === 'LICENSE' || file.endsWith('.md'))) {
    made.copy(join(top, name), `${doc}/${name}`);
  }
  made.tree(join(top, 'docs'), `${doc}/docs`, () => true);
  made.folder('/etc/dmiofs');
}

/** The links in /sbin can be another installation's by now. */
function isOurs(line) {
  const path = line.slice(5);
  if (!line.startsWith('file ') || !basename(path).startsWith('mount.') || path.startsWith(`${prefix}/`))
    return true;
  return !isThere(placed(path)) || readlinkSync(placed(path)) === `${home}/bin/mount.dmiofs`;
}

try {
  if (uninstall) {
    const manifest = Manifest.read();
    if (manifest === undefined)
      fail(`nothing is installed under ${placed(prefix)}: there is no ${placed(manifestPath)}`);
    manifest.remove(new Set(manifest.lines.filter((line) => !isOurs(line))));
    say(`taken away from ${placed(prefix)}; configs, logs and state stay`);
  } else {
    install();
  }
} catch (error) {
  fail(
    `${error.message}${error.code === 'EACCES' ? ': be root, or choose a --prefix or --destdir of your own' : ''}`,
  );
}
