// What the end of a socket means, and how long to wait before the next one.

/** Whether coming back as one is can succeed: 44xx asks for a change first, 1000 is an end that was wanted. */
export const comesBack = (code: number): boolean => code !== 1000 && !(code >= 4400 && code < 4500);

export const BACKOFF_MS_FIRST = 1_000;
export const BACKOFF_MS_MAX = 30_000;

/**
 * How long to wait before an attempt, in milliseconds: doubled each time, with chance in it. Without chance, everybody
 * a restart cut off would come back in the same second, and again together each time.
 */
export function backoff(attempt: number, random: () => number): number {
    const full = Math.min(BACKOFF_MS_FIRST * 2 ** Math.min(attempt, 16), BACKOFF_MS_MAX);
    return Math.round(full * (0.5 + random() / 2));
}
