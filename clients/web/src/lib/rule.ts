// How often a space checks in, as three plain choices, and the rule (RFC 5545) that says the same.
import { locale, t } from "./i18n/index.svelte.ts";

export const DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"] as const;
export type Day = (typeof DAYS)[number];
export type Often = "daily" | "weekdays" | "weekly";
export interface Plan {
    often: Often;
    day: Day;
    /** 24 hours, "09:30". */
    time: string;
}

const WEEKDAYS = "MO,TU,WE,TH,FR";

export function ruleOf({ often, day, time }: Plan): string {
    const [hour, minute] = time.split(":").map(Number);
    const at = `BYHOUR=${hour};BYMINUTE=${minute}`;
    if (often === "daily") return `FREQ=DAILY;${at}`;
    return `FREQ=WEEKLY;BYDAY=${often === "weekdays" ? WEEKDAYS : day};${at}`;
}

/** The plain choice that a rule is, if it is one. */
export function planOf(rule: string): Plan | undefined {
    const parts = new Map(rule.replace(/^RRULE:/i, "").split(";").map((part) => part.toUpperCase().split("=") as [string, string]));
    const [hour, minute] = [parts.get("BYHOUR"), parts.get("BYMINUTE")];
    const more = [...parts.keys()].some((name) => !["FREQ", "BYDAY", "BYHOUR", "BYMINUTE", "WKST"].includes(name));
    if (more || !/^\d+$/.test(hour ?? "") || !/^\d+$/.test(minute ?? "")) return undefined;
    const time = `${hour?.padStart(2, "0")}:${minute?.padStart(2, "0")}`;
    const days = parts.get("BYDAY");
    if (parts.get("FREQ") === "DAILY" && !days) return { often: "daily", day: "MO", time };
    if (parts.get("FREQ") !== "WEEKLY" || !days) return undefined;
    if (days === WEEKDAYS) return { often: "weekdays", day: "MO", time };
    const day = DAYS.find((one) => one === days);
    return day && { often: "weekly", day, time };
}

/** 5 January 2026 was a Monday. */
export const dayName = (day: Day): string =>
    new Intl.DateTimeFormat(locale(), { weekday: "long", timeZone: "UTC" }).format(Date.UTC(2026, 0, 5 + DAYS.indexOf(day)));

/** A rule in words; one that somebody wrote by another program as it stands. */
export function ruleWords(rule: string): string {
    const plan = planOf(rule);
    if (!plan) return t("rule.other", { rule });
    return t(`rule.${plan.often}`, { day: dayName(plan.day), time: plan.time });
}

export const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
