// What the user sees while it runs: a bar on a terminal, a line for each cell that is done.
import cliProgress from 'cli-progress';

const duration = (seconds) =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;

export class Progress {
  #total;
  #done = 0;
  #begin = performance.now();
  #bar;

  constructor(total) {
    this.#total = total;
    if (!process.stderr.isTTY) return;
    this.#bar = new cliProgress.SingleBar({
      format: '[{bar}] {value}/{total}  {left} left  {what}',
      barsize: 24,
      clearOnComplete: true,
      stream: process.stderr,
    });
    this.#bar.start(total, 0, { left: '?', what: '' });
  }

  #left() {
    if (this.#done === 0) return '?';
    const passed = (performance.now() - this.#begin) / 1000;
    return duration((passed / this.#done) * (this.#total - this.#done));
  }

  /** A sample begins. */
  at(what) {
    this.#bar?.update(this.#done, { left: this.#left(), what });
  }

  /** A sample has ended. */
  step() {
    this.#done++;
  }

  /** A line that stays. */
  line(text) {
    if (this.#bar === undefined) {
      process.stderr.write(`${text}\n`);
      return;
    }
    process.stderr.write(`\r\x1b[K${text}\n`);
    this.at('');
  }

  stop() {
    this.#bar?.stop();
  }
}

export { duration };
