// Lists the C++ sources of the folders named, for binding.gyp: a new file needs no edit there.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
for (const folder of process.argv.slice(2)) {
  if (!existsSync(join(top, folder))) continue;
  for (const name of readdirSync(join(top, folder)).sort()) {
    if (name.endsWith('.cc')) console.log(`${folder}/${name}`);
  }
}
