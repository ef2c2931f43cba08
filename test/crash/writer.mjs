// One writer of the crash tests: writes stamped blocks and says on stdout, by a system call each, what it is about to do and what was acknowledged.
//
//   node writer.mjs FILE INDEX WRITERS BLOCKS SEED FIRST-SEQUENCE [direct]
//
// It owns the blocks whose number modulo WRITERS is INDEX. Lines: `S BLOCK SEQUENCE` before the write, `A BLOCK SEQUENCE` after it was
// acknowledged, `E CODE` when a write failed, after which it ends. A block holds (index, sequence, block) over and over.
import { closeSync, constants, openSync, writeSync } from 'node:fs';

export const BLOCK_SIZE = 4096;

/** A block's content for a stamp. */
export function stamped(index, sequence, block) {
  const data = Buffer.alloc(BLOCK_SIZE);
  for (let at = 0; at < BLOCK_SIZE; at += 16) {
    data.writeUInt32LE(0x64_6d_69_6f, at);
    data.writeUInt32LE(index, at + 4);
    data.writeUInt32LE(sequence, at + 8);
    data.writeUInt32LE(block, at + 12);
  }
  return data;
}

function main([file, indexText, writersText, blocksText, seedText, firstText, mode]) {
  const [index, writers, blocks] = [Number(indexText), Number(writersText), Number(blocksText)];
  let state = BigInt(seedText) * 1000n + BigInt(index);
  const random = (bound) => {
    state = (state + 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & 0xffffffffffffffffn;
    return Number((z ^ (z >> 31n)) % BigInt(bound));
  };
  let fd;
  try {
    fd = openSync(file, constants.O_WRONLY | (mode === 'direct' ? constants.O_DIRECT : 0));
  } catch (error) {
    writeSync(1, `E ${error.code}\n`);
    return;
  }
  const mine = Math.floor((blocks - index + writers - 1) / writers);
  for (let sequence = Number(firstText); ; sequence++) {
    const block = index + random(mine) * writers;
    writeSync(1, `S ${block} ${sequence}\n`);
    try {
      if (writeSync(fd, stamped(index, sequence, block), 0, BLOCK_SIZE, block * BLOCK_SIZE) !== BLOCK_SIZE)
        break;
    } catch (error) {
      writeSync(1, `E ${error.code}\n`);
      break;
    }
    writeSync(1, `A ${block} ${sequence}\n`);
  }
  try {
    closeSync(fd);
  } catch {
    // The daemon is dead.
  }
}

if (process.argv[1]?.endsWith('writer.mjs')) main(process.argv.slice(2));
