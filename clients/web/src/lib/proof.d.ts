declare module "virtual:proof" {
    export interface Verdict {
        faults: string[];
        channels: number;
        shown: number;
        withheld: number;
        time: string;
        signer: string;
    }
    /** What does not hold of a proof, in a sentence. */
    export class Wrong extends Error {}
    /** Checks the files of a proof, by path; `pin` is the key that is expected, or empty. */
    export function check(files: ReadonlyMap<string, Uint8Array>, pin: string): Promise<Verdict>;
}
