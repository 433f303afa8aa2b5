// What is in an archive (POSIX ustar) of plain files, as the server makes them.

const RECORD = 512;

/** Files by path. Throws for what is no such archive: a proof is not guessed at. */
export function untar(bytes: Uint8Array): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    const text = (from: number, length: number): string => {
        const field = bytes.subarray(from, from + length);
        const end = field.indexOf(0);
        return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
    };
    for (let at = 0; at + RECORD <= bytes.length; ) {
        if (bytes[at] === 0) break;
        if (text(at + 257, 5) !== "ustar") throw new Error("not an archive");
        const [name, prefix, size] = [text(at, 100), text(at + 345, 155), Number.parseInt(text(at + 124, 12).trim(), 8)];
        const begin = at + RECORD;
        if (!(size >= 0) || begin + size > bytes.length) throw new Error("the archive is cut off");
        const kind = bytes[at + 156];
        if (kind === 0 || kind === 48) files.set(prefix ? `${prefix}/${name}` : name, bytes.slice(begin, begin + size));
        at = begin + Math.ceil(size / RECORD) * RECORD;
    }
    return files;
}
