/** The completion as bash and zsh do it, with the scripts that are installed. */
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canMount, DMIOFS, MIB, must, run, Scene, why } from '../helpers/mounted.js';

const SCRIPTS = fileURLToPath(new URL('../../config/completion/', import.meta.url));

let scene: Scene;
let env: Record<string, string>;

/** What bash offers for the words, the last of which is being written. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const script = [
    `source ${join(SCRIPTS, 'dmiofs.bash')}`,
    'COMP_WORDS=("$@")',
    'COMP_CWORD=$(($# - 1))',
    'function=$(complete -p dmiofs | sed "s/.*-F \\([^ ]*\\) .*/\\1/")',
    '"$function"',
    '[ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"',
  ].join('\n');
  const { code, stdout, stderr } = await run('bash', ['-c', script, 'bash', 'dmiofs', ...words], { env });
  expect([code, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

beforeAll(() => {
  scene = new Scene();
  const bin = scene.folder('bin');
  symlinkSync(DMIOFS, join(bin, 'dmiofs'));
  env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, SHELL: '/bin/bash' };
});
afterAll(async () => {
  await scene.close();
});

describe('the completion of bash', () => {
  it.each([
    ['dmiofs.bash', '/bin/bash'],
    ['_dmiofs', '/bin/zsh'],
  ])('is the script that dmiofs completion prints: config/completion/%s', async (name, shell) => {
    const { stdout } = await run(DMIOFS, ['completion'], { env: { SHELL: shell } });
    expect(readFileSync(join(SCRIPTS, name), 'utf8')).toBe(`${stdout.trimEnd()}\n`);
  });

  it('offers commands and options', async () => {
    expect(await offered('')).toEqual(expect.arrayContaining(['init', 'mount', 're-add', 'completion']));
    expect(await offered('um')).toEqual(['umount']);
    expect(await offered('from')).toEqual(['from-table']);
    expect(await offered('mount', '--f')).toEqual(['--foreground', '--fault-rules']);
  });

  it('leaves configs and devices to the shell’s own completion of paths', async () => {
    expect(await offered('mount', '')).toEqual([]);
    expect(await offered('init', 'x')).toEqual([]);
  });

  it.skipIf(!canMount)(`offers what is mounted${canMount ? '' : ` (${why})`}`, async () => {
    const regions = [{ device: './a.img' }, { device: './b.img' }];
    const config = scene.config({ data: { regions, size: MIB } });
    const mountpoint = scene.folder('mnt');
    await must(DMIOFS, 'init', config);
    await scene.mount(config, mountpoint);
    const file = join(mountpoint, 'data');
    expect(await offered('umount', scene.dir)).toEqual([mountpoint]);
    expect(await offered('fail', scene.dir)).toEqual([file]);
    expect(await offered('status', scene.dir)).toEqual([mountpoint, file]);
    expect(await offered('fail', file, '')).toEqual(['0', '1']);
    expect(await offered('mount', config, scene.dir)).toEqual([]);
    // One whose daemon is dead is offered all the same, and nothing waits for it.
    const { pid } = await scene.status(mountpoint);
    process.kill(pid, 'SIGKILL');
    expect(await offered('umount', scene.dir)).toEqual([mountpoint]);
    expect(await offered('fail', scene.dir)).toEqual([file]);
  });
});

const hasZsh = (await run('sh', ['-c', 'command -v zsh'])).code === 0;

describe.skipIf(!hasZsh)('the completion of zsh (package zsh)', () => {
  it('is a function for dmiofs', async () => {
    const out = await must(
      'zsh',
      '-fc',
      `fpath=(${SCRIPTS} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[dmiofs]`,
    );
    expect(out.trim()).toBe('_dmiofs');
  });
});
