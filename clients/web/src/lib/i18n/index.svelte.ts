// Words in the reader's language. A key that one language lacks does not compile.
import { de as deCare } from "./care/de.ts";
import { en as enCare } from "./care/en.ts";
import { de as deChart } from "./chart/de.ts";
import { en as enChart } from "./chart/en.ts";
import { de as dePages } from "./de.ts";
import { en as enPages } from "./en.ts";
import { de as deFamily } from "./family/de.ts";
import { en as enFamily } from "./family/en.ts";
import { de as deRecord } from "./record/de.ts";
import { en as enRecord } from "./record/en.ts";

const en = { ...enPages, ...enRecord, ...enCare, ...enChart };

export type Key = keyof typeof en;
type Counted<K extends string> = K extends `${infer Name}.one` ? Name : never;
/** Keys with a form for one and a form for others. */
export type CountKey = Counted<Key>;

const WORDS: Record<string, Record<Key, string>> = { en, de: { ...dePages, ...deRecord, ...deCare, ...deChart } };
/** What patients and family read in place of the words of a ward. */
const PLAIN: Record<string, Partial<Record<Key, string>>> = { en: enFamily, de: deFamily };
export const LANGUAGES = [
    ["en", "English"],
    ["de", "Deutsch"],
] as const;

const CHOSEN = "carethread.language";

function atStart(): string {
    const chosen = localStorage.getItem(CHOSEN);
    const wanted = [chosen, ...navigator.languages].map((tag) => tag?.slice(0, 2) ?? "");
    return wanted.find((tag) => tag in WORDS) ?? "en";
}

class Language {
    tag = $state(atStart());
    /** Whether the reader is a patient or family. */
    plain = $state(false);

    choose(tag: string): void {
        this.tag = tag;
        localStorage.setItem(CHOSEN, tag);
    }
}

export const language = new Language();

/** For dates and numbers: the day before the month, as on a wristband. */
export const locale = (): string => (language.tag === "en" ? "en-GB" : language.tag);

/** The words of a key, with what stands in braces filled in. */
export function t(key: Key, given: Record<string, string | number> = {}): string {
    const plain = language.plain ? PLAIN[language.tag]?.[key] : undefined;
    const words = plain ?? WORDS[language.tag]?.[key] ?? en[key];
    return words.replace(/\{(\w+)\}/g, (_, name: string) => String(given[name] ?? ""));
}

/** As `t`, in the form that the number asks for; the number itself is `{n}`. */
export function tn(key: CountKey, n: number, given: Record<string, string | number> = {}): string {
    const form = new Intl.PluralRules(language.tag).select(n) === "one" ? "one" : "other";
    return t(`${key}.${form}` as Key, { n, ...given });
}
