// Writes the files that are made from the code: `scripts/generate`. Tests tell when one of them is out of date.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fillManual, manualParts, withoutDate } from '../dist/cli/manual.js';
import { jsonSchemas } from '../dist/config/json-schema.js';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');

for (const [name, text] of Object.entries(jsonSchemas())) {
  writeFileSync(join(top, 'config', name), text);
  console.log(`generate: config/${name}`);
}

mkdirSync(join(top, 'config/completion'), { recursive: true });
for (const [name, shell] of [
  ['dmiofs.bash', '/bin/bash'],
  ['_dmiofs', '/bin/zsh'],
]) {
  const env = { ...process.env, SHELL: shell, ZSH_NAME: '' };
  const text = execFileSync(process.execPath, [join(top, 'dist/cli/run.js'), 'completion'], {
    env,
    encoding: 'utf8',
  });
  // Without the empty line that it ends with.
  writeFileSync(join(top, 'config/completion', name), `${text.trimEnd()}\n`);
  console.log(`generate: config/completion/${name}`);
}

const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'));
const parts = await manualParts(version);
for (const source of readdirSync(join(top, 'man')).filter((name) => name.endsWith('.scd'))) {
  const page = source.replace(/\.scd$/, '');
  const input = fillManual(readFileSync(join(top, 'man', source), 'utf8'), parts);
  const { status, stdout, stderr, error } = spawnSync('scdoc', { input, encoding: 'utf8' });
  if (error?.code === 'ENOENT') {
    console.log(`generate: man/${page} left as it is: scdoc is not installed`);
    continue;
  }
  if (status !== 0) throw new Error(`scdoc man/${source}: ${stderr}`);
  writeFileSync(join(top, 'man', page), withoutDate(stdout));
  console.log(`generate: man/${page}`);
}
