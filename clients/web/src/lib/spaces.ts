// Spaces are told apart by who reads them: in words first, then in colour.
import type { Channel } from "carethread";
import { t, tn } from "./i18n/index.svelte.ts";
import { record } from "./record.svelte.ts";
import { session } from "./session.svelte.ts";

/** Those of the open record, staff first, the log of the plan last of them. */
export function spaces(): Channel[] {
    const order = { staff: 0, shared: 1, named: 2 };
    return [...(record.sight?.channels.values() ?? [])].sort(
        (a, b) =>
            Number(a.archived) - Number(b.archived) ||
            order[a.audience] - order[b.audience] ||
            Number(a.kind === "plan") - Number(b.kind === "plan") ||
            (a.id < b.id ? -1 : 1),
    );
}

const first = (name: string): string => name.split(" ")[0] ?? name;

/** Who reads it besides the reader: short, for a button, and as a sentence. */
export function readers(channel: Channel): { short: string; words: string } {
    const patient = first(record.patient?.name ?? "");
    if (channel.audience === "staff") return { short: t("readers.staff"), words: t("readers.staffOnly", { name: patient }) };
    if (channel.audience === "named") return { short: t("readers.named"), words: t("readers.namedOnly") };
    if (record.family) return { short: t("readers.team"), words: t("readers.teamWords") };
    const family = [...(record.sight?.members.values() ?? [])].filter((member) => member.family && member.user !== session.user);
    const names = family.map(({ name }) => first(name));
    const short = names.length === 0 ? t("readers.family") : names.length < 3 ? names.join(t("readers.and")) : tn("readers.familyCount", names.length);
    const words = t("readers.sharedWords", { names: short });
    return { short, words: words.charAt(0).toLocaleUpperCase() + words.slice(1) };
}
