/** The service manager that has started this process (systemd): told when it is ready, lives and stops. Without one all of it does nothing. */
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { NativeBinding } from '../native/binding.js';

export class ServiceManager {
  readonly #binding: NativeBinding;
  readonly #log: Logger;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(binding: NativeBinding, log: Logger) {
    this.#binding = binding;
    this.#log = log;
  }

  /** The service is ready; from now on it is known to live. */
  ready(status: string): void {
    this.#notify(`READY=1\nSTATUS=${status}`);
    const period = watchdogPeriod();
    if (period === undefined) return;
    this.#watchdog = setInterval(() => {
      this.#notify('WATCHDOG=1');
    }, period / 2);
  }

  stopping(status: string): void {
    clearInterval(this.#watchdog);
    this.#notify(`STOPPING=1\nSTATUS=${status}`);
  }

  #notify(text: string): void {
    const socket = process.env['NOTIFY_SOCKET'];
    if (socket === undefined || socket === '') return;
    try {
      this.#binding.notifyService(socket, `${text}\nMAINPID=${String(process.pid)}`);
    } catch (error) {
      this.#log.warn(messageOf(error));
    }
  }
}

/** Milliseconds, of a unit with WatchdogSec=; undefined: it has none, or means another process. */
function watchdogPeriod(): number | undefined {
  const period = Number(process.env['WATCHDOG_USEC']) / 1000;
  const pid = process.env['WATCHDOG_PID'];
  return period > 0 && (pid === undefined || pid === String(process.pid)) ? period : undefined;
}
