// A record as a file: made by the server, handed to the browser.
import type { Deed } from "./deed.ts";

/** Forms of file, and how their names end. */
export const FORMS = { html: "html", pdf: "pdf", "fhir-document": "json", "fhir-transaction": "json", hl7v2: "tar", ndjson: "ndjson", proof: "tar" } as const;
export type Form = keyof typeof FORMS;
/** Forms that somebody can stand for before they are made. */
export const SIGNED: readonly Exclude<Form, "proof">[] = ["html", "pdf", "fhir-document", "fhir-transaction", "hl7v2", "ndjson"];

/** Has the server make what is asked for, and saves it; gives how many entries it holds. */
export async function save(deed: Deed, patient: string, asked: Record<string, unknown>, form: Form): Promise<number> {
    const made = (await (await deed.post(`/v1/patients/${patient}/exports`, asked)).json()) as { url: string; entries: number };
    const file = URL.createObjectURL(await deed.file(made.url));
    const link = document.createElement("a");
    link.href = file;
    // No name of anybody: what lies in a folder of downloads says nothing.
    link.download = `record-${form}.${FORMS[form]}`;
    link.click();
    // The browser has taken it up by then; until it is given back it lies in the memory of the page.
    setTimeout(() => URL.revokeObjectURL(file), 60_000);
    return made.entries;
}
