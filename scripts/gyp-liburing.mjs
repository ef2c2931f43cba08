// Prints how to link liburing, for binding.gyp: '-l:liburing.a', else '-luring', else 'none'.
// Asks the compiler, which alone knows where it looks. Static first: the addon then runs where the library is not installed.
import { spawnSync } from 'node:child_process';

const program =
  '#include <liburing.h>\nint main() { io_uring ring; return io_uring_queue_init(8, &ring, 0); }\n';
const compiler = process.env['CXX'] || 'c++';

function links(library) {
  const command = `${compiler} -x c++ - -o /dev/null -x none ${library}`;
  return (
    spawnSync('/bin/sh', ['-c', command], { input: program, stdio: ['pipe', 'ignore', 'ignore'] }).status ===
    0
  );
}

console.log(['-l:liburing.a', '-luring'].find(links) ?? 'none');
