// Names, dates and times as people on a ward read them: family name first in capitals, the month in letters, 24 hours,
// the reader's own zone.
import { type PlanItem, later } from "carethread";
import { type Key, language, locale, t } from "./i18n/index.svelte.ts";

/** Words that belong to the family name behind them. */
const PARTICLE = /^(van|von|der|den|de|del|della|di|da|dos|la|le|zu|zur|ten|ter|bin|al|el)$/i;

/** A name of one line, as on a wristband. */
export function split(name: string): { family: string; given: string } {
    const words = name.trim().split(/\s+/);
    let from = words.length - 1;
    while (from > 1 && PARTICLE.test(words[from - 1] ?? "")) from -= 1;
    if (words.length < 2) return { family: name.trim().toLocaleUpperCase(), given: "" };
    return { family: words.slice(from).join(" ").toLocaleUpperCase(), given: words.slice(0, from).join(" ") };
}

export const banded = (name: string): string => {
    const { family, given } = split(name);
    return given ? `${family}, ${given}` : family;
};

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A FHIR date as on a wristband, where a day and a month cannot be confused: 14-Aug-1951. */
export function birth(date: string | null | undefined): string {
    const [year, month, day] = (date ?? "").split("-");
    if (!year) return "–";
    // Families read a date as they write it.
    if (language.plain && month && day) return shape({ day: "numeric", month: "long", year: "numeric" }).format(new Date(`${date}T12:00:00`));
    const name = month ? MONTHS[Number(month) - 1] : undefined;
    return [day, name, year].filter(Boolean).join("-");
}

export function age(date: string | null | undefined, now = new Date()): number | undefined {
    if (!date || date.length < 10) return undefined;
    const born = new Date(date);
    const had = now.getMonth() > born.getMonth() || (now.getMonth() === born.getMonth() && now.getDate() >= born.getDate());
    return now.getFullYear() - born.getFullYear() - (had ? 0 : 1);
}

const shape = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale(), options);

export const clock = (at: string | number): string =>
    shape({ hour: "2-digit", minute: "2-digit", hour12: false }).format(new Date(at));

export const dayOf = (at: string | number): string => new Date(at).toDateString();

/** A whole day: Thursday 19 November, with today and yesterday by name. */
export function day(at: string | number, now = Date.now()): string {
    const words = shape({ weekday: "long", day: "numeric", month: "long" }).format(new Date(at));
    if (dayOf(at) === dayOf(now)) return t("day.today", { day: words });
    if (dayOf(at) === dayOf(now - 86_400_000)) return t("day.yesterday", { day: words });
    return words;
}

/** A time as short as it can be: the clock today, with the day otherwise. */
export function when(at: string | number, now = Date.now()): string {
    if (typeof at === "string" && !at.includes("T")) {
        return shape({ weekday: "short", day: "numeric", month: "short" }).format(new Date(`${at}T12:00:00`));
    }
    if (dayOf(at) === dayOf(now)) return clock(at);
    return `${shape({ weekday: "short", day: "numeric", month: "short" }).format(new Date(at))} ${clock(at)}`;
}

/** A day without its hour, or with it, as a moment: that day's beginning here. */
export const startOfDay = (at: string): number => new Date(at.includes("T") ? at : `${at}T12:00:00`).setHours(0, 0, 0, 0);

/** The parts of a date as a calendar has them, and the day in words with its hour, if it has one. */
export function datePart(at: string): { day: string; month: string; words: string } {
    const on = new Date(at.includes("T") ? at : `${at}T12:00:00`);
    const of = (options: Intl.DateTimeFormatOptions): string => shape(options).format(on);
    return { day: of({ day: "numeric" }), month: of({ month: "short" }), words: of({ weekday: "long" }) + (at.includes("T") ? ` ${clock(at)}` : "") };
}

/** Whether that day or time is over. */
export function isOver(due: unknown, now = Date.now()): boolean {
    if (typeof due !== "string") return false;
    return due.includes("T") ? Date.parse(later(due)) < now : Date.parse(`${due}T23:59:59`) < now;
}

/** So many minutes, in hours where they are many. */
export function span(minutes: number): string {
    const hours = Math.floor(minutes / 60);
    return hours > 0 ? t("span.hours", { h: hours, m: minutes % 60 }) : t("span.minutes", { m: minutes });
}

export type KindName = "problem" | "goal" | "activity" | "barrier" | "whole";

/** What colours and shapes go by. */
export const kindOf = (item: Pick<PlanItem, "kind"> | undefined): KindName => item?.kind ?? "whole";

export const kindWord = (item: Pick<PlanItem, "kind" | "standing"> | undefined): string =>
    t(`kind.${item?.kind ?? "standing"}` as Key);

/** Standing items are the server's; their names are the page's. */
export function title(item: Pick<PlanItem, "title" | "standing"> | undefined): string {
    if (item?.standing === "whole") return t("item.whole");
    if (item?.standing === "unsorted") return t("item.unsorted");
    return item?.title ?? t("item.unknown");
}
