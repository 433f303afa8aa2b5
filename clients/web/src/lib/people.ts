// Who somebody is at the record that is open.
import type { Next, TeamMember } from "carethread";
import { type Key, t } from "./i18n/index.svelte.ts";
import { patients } from "./patients.svelte.ts";
import { record } from "./record.svelte.ts";
import { session } from "./session.svelte.ts";
import { isOver, when } from "./format.ts";

export const nameOf = (user: string): string =>
    record.member(user)?.name || patients.names.get(user) || t("person.unknown");

/** "You" for the reader themselves. */
export const called = (user: string): string => (user === session.user ? t("person.you") : nameOf(user));

/** The same within a sentence. */
export const within = (user: string): string => (user === session.user ? t("person.youWithin") : nameOf(user));

export const roleOf = (user: string): string => record.member(user)?.role ?? "";

export type Covered = NonNullable<TeamMember["covers"]>[number];
type Owner = string | { responsibility: string } | null | undefined;

export function ownerName(owner: Owner): string {
    if (!owner) return t("person.nobody");
    return typeof owner === "string" ? called(owner) : responsibility(owner.responsibility);
}

/** A responsibility, with whoever holds it. */
export function responsibility(held: string): string {
    const holder = [...(record.sight?.members.values() ?? [])].find((member) =>
        (member.responsibilities as string[]).includes(held),
    );
    return holder ? called(holder.user) : t(`responsibility.${held}` as Key);
}

/** Whoever stands in for somebody now acts with their responsibility. */
export const coversNow = (cover: Covered, now = Date.now()): boolean =>
    cover.user !== null && (!cover.from || Date.parse(cover.from) <= now) && (!cover.until || now < Date.parse(cover.until));

const holds = (held: string): boolean =>
    ((record.member(session.user)?.responsibilities as string[] | undefined)?.includes(held) ?? false) ||
    [...(record.sight?.members.values() ?? [])].some((member) =>
        (member.covers ?? []).some((cover) => cover.responsibility === held && cover.user === session.user && coversNow(cover)),
    );

/** Whether it rests with the reader. */
export const isMine = (owner: Owner): boolean =>
    typeof owner === "string" ? owner === session.user : owner ? holds(owner.responsibility) : false;

export interface Waiting {
    kind: "you" | "other" | "over" | "none" | "nothing";
    words: string;
}

/** For whom an item waits, and until when. */
export function waiting(next: Next | null | undefined, open = true): Waiting {
    if (!next) return open ? { kind: "none", words: t("waits.nobody") } : { kind: "nothing", words: t("waits.nothing") };
    const who = next.user ?? (next.responsibility ? { responsibility: next.responsibility } : null);
    const you = isMine(who);
    const due = typeof next.due === "string" ? ` · ${when(next.due)}` : "";
    const words = (you ? t("waits.you") : t("waits.for", { name: ownerName(who) })) + due;
    return { kind: isOver(next.due) ? "over" : you ? "you" : "other", words };
}
