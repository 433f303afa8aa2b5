// Times as the server writes them: RFC 3339 in UTC with microseconds, so that texts sort as times do.

/** The same instant so many minutes later, as the server writes it; a day stays the day it is. */
export function later(time: string, minutes = 0): string {
    if (!time.includes("T")) return time;
    const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
    const whole = Date.parse(time.replace(/\.\d+/, "")) + minutes * 60_000;
    return `${new Date(whole).toISOString().slice(0, 19)}.${fraction.padEnd(6, "0").slice(0, 6)}Z`;
}

/** Milliseconds since 1970. */
export const millis = (time: string): number => Date.parse(time);
