/** Users and groups by name, as the system's own database knows them (getent), else /etc/passwd and /etc/group. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** uid_t -1 means "no change" to chown(2), so it is nobody's. */
export const MAX_ID = 0xffff_fffe;

function lookUp(database: 'passwd' | 'group', name: string): string | undefined {
  try {
    return execFileSync('getent', [database, name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5000,
    });
  } catch {
    try {
      return readFileSync(`/etc/${database}`, 'utf8')
        .split('\n')
        .find((line) => line.startsWith(`${name}:`));
    } catch {
      return undefined;
    }
  }
}

function idOf(database: 'passwd' | 'group', account: string | number): number | undefined {
  if (typeof account === 'number') return account;
  if (/^[0-9]+$/.test(account)) return Number(account) <= MAX_ID ? Number(account) : undefined;
  // Neither is a name, and getent would take the second for an option.
  if (account.includes(':') || account.startsWith('-')) return undefined;
  const id = lookUp(database, account)?.split(':')[2];
  return id === undefined || !/^[0-9]+$/.test(id) ? undefined : Number(id);
}

/** undefined: there is no such user. */
export const userId = (account: string | number): number | undefined => idOf('passwd', account);
/** undefined: there is no such group. */
export const groupId = (account: string | number): number | undefined => idOf('group', account);
