// The machine and the versions that figures belong to.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { run } from './processes.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));

const text = (path) => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};

/** What must be the same for two results to be comparable. */
export function machine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    virtual: /\bhypervisor\b/.test(text('/proc/cpuinfo')),
    kernel: release(),
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(text('/etc/os-release'))?.[1] ?? 'unknown',
  };
}

async function firstLine(program, ...args) {
  try {
    return (await run(program, args)).split('\n')[0].trim();
  } catch {
    return 'not installed';
  }
}

export async function versions() {
  let commit = 'unknown';
  try {
    const git = (...args) => execFileSync('git', ['-C', top, ...args], { encoding: 'utf8', stdio: 'pipe' });
    commit = git('rev-parse', '--short', 'HEAD').trim();
    if (git('status', '--porcelain', '--', 'native', 'src').trim() !== '') commit += ' and changes';
  } catch {
    // Not a checkout.
  }
  return {
    dmiofs: JSON.parse(readFileSync(`${top}/package.json`, 'utf8')).version,
    commit,
    node: process.version,
    fio: await firstLine('fio', '--version'),
    peer: await firstLine('qemu-storage-daemon', '--version'),
    libfuse3: await firstLine('pkg-config', '--modversion', 'fuse3'),
  };
}

export function describeMachine({ cpu, cpus: count, memoryGib, virtual, kernel, distribution }) {
  return `${count} x ${cpu}${virtual ? ' (virtual machine)' : ''}, ${memoryGib} GiB, Linux ${kernel}, ${distribution}`;
}
