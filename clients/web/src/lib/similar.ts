// Patients on one's list whose names are easily taken for each other. Which ones are is the server's to say; which of
// them belong together is seen by how they begin.
import { type Patient, patients } from "./patients.svelte.ts";

const initials = (name: string): string => {
    const words = name.trim().toLocaleLowerCase().split(/\s+/);
    return [words[0]?.[0] ?? "", words.at(-1)?.[0] ?? ""].sort().join("");
};

/** Those whom that one can be mistaken for; all with similar names, where none begins alike. */
export function mistakenFor(patient: string): readonly Patient[] {
    const one = patients.get(patient);
    if (!one?.similar) return [];
    const others = patients.list.filter(({ id, similar }) => similar && id !== patient);
    const near = others.filter(({ name }) => initials(name) === initials(one.name));
    return near.length > 0 ? near : others;
}
