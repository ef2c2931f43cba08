// One client of the linearizability tests: reads and writes a few cells at the file's start, past the page cache, and says on stdout what it did.
//
//   node history-client.mjs FILE CLIENT FIRST-VALUE CELLS WRITES STOP-FILE
//
// A cell is 256 bytes, all of which a write fills with its value; each write has a value of its own. Most operations are of one block of 4 KiB; the
// others begin and end at any cell, so that they overlap, and are no whole sectors. WRITES is their share in percent. Ends when STOP-FILE exists, or
// at the first error.
// Lines: `W|R BEGAN ENDED FIRST-CELL VALUE*COUNT...`, times in ns of CLOCK_MONOTONIC; `w BEGAN 0 ...` for a write that failed; `E CODE`; `T ...`: torn.
import { closeSync, constants, existsSync, openSync, readSync, writeSync } from 'node:fs';

const CELL = 256;
const BLOCK_CELLS = 4096 / CELL;
const BATCH = 32;

const [file, clientText, firstText, cellsText, writesText, stopFile] = process.argv.slice(2);
const [client, cells, writes] = [Number(clientText), Number(cellsText), Number(writesText)];

let state = (Number(firstText) * 31 + client) >>> 0;
/** mulberry32 */
function random(below) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % below;
}

/** The values, run by run: `7*16 9*3`. */
function runs(data, count) {
  const found = [];
  for (let cell = 0; cell < count; cell++) {
    const value = data.readUInt32LE(cell * CELL);
    for (let at = cell * CELL; at < (cell + 1) * CELL; at += 4)
      if (data.readUInt32LE(at) !== value) return undefined;
    const last = found.at(-1);
    if (last?.value === value) last.count++;
    else found.push({ value, count: 1 });
  }
  return found.map((run) => `${run.value}*${run.count}`).join(' ');
}

let lines = [];
function say(line) {
  lines.push(line);
  if (lines.length >= BATCH) flush();
}
function flush() {
  if (lines.length > 0) writeSync(1, `${lines.join('\n')}\n`);
  lines = [];
}

let fd;
try {
  fd = openSync(file, constants.O_RDWR | constants.O_DIRECT);
} catch (error) {
  say(`E ${error.code}`);
  flush();
  process.exit();
}
const buffer = Buffer.alloc(cells * CELL);
let value = Number(firstText);
for (let round = 0; round % BATCH !== 0 || !existsSync(stopFile); round++) {
  const whole = random(10) < 7;
  const first = whole ? random(cells / BLOCK_CELLS) * BLOCK_CELLS : random(cells);
  const count = whole ? BLOCK_CELLS : 1 + random(Math.min(cells - first, 2 * BLOCK_CELLS));
  const [length, offset] = [count * CELL, first * CELL];
  const write = random(100) < writes;
  if (write) {
    value++;
    for (let at = 0; at < length; at += 4) buffer.writeUInt32LE(value, at);
  }
  const began = process.hrtime.bigint();
  try {
    const done = write ? writeSync(fd, buffer, 0, length, offset) : readSync(fd, buffer, 0, length, offset);
    const ended = process.hrtime.bigint();
    if (done !== length) throw Object.assign(new Error(), { code: 'SHORT' });
    const seen = write ? `${value}*${count}` : runs(buffer, count);
    if (seen === undefined) say(`T a cell of ${first}+${count} is torn`);
    else say(`${write ? 'W' : 'R'} ${began} ${ended} ${first} ${seen}`);
  } catch (error) {
    if (write) say(`w ${began} 0 ${first} ${value}*${count}`);
    say(`E ${error.code}`);
    break;
  }
}
flush();
try {
  closeSync(fd);
} catch {
  // The daemon is dead.
}
