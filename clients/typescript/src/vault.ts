// Values of one person, sealed before they are stored (AES-256-GCM, WebCrypto). A shared computer keeps what was not
// sent yet, and shows it to nobody but whoever wrote it: the key is not stored with it.
import type { Kind, Storage } from "./storage.ts";

const NONCE_BYTES = 12;
const CIPHER = { name: "AES-GCM", length: 256 } as const;

/**
 * The key that the server hands out at sign-in (`outbox_key`, base64 of 32 bytes): the same for the same person every
 * time, whatever becomes of their password. It cannot be read out of the browser again.
 */
export async function sealingKey(outboxKey: string): Promise<CryptoKey> {
    const bytes = Uint8Array.from(atob(outboxKey), (letter) => letter.charCodeAt(0));
    const key = await crypto.subtle.importKey("raw", bytes, CIPHER, false, ["encrypt", "decrypt"]);
    bytes.fill(0);
    return key;
}

export class Vault {
    readonly user: string;
    readonly #key: CryptoKey;
    readonly #storage: Storage;

    constructor(user: string, key: CryptoKey, storage: Storage) {
        this.user = user;
        this.#key = key;
        this.#storage = storage;
    }

    async keep(kind: Kind, id: string, order: number, value: unknown): Promise<void> {
        const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
        const plain = new TextEncoder().encode(JSON.stringify(value));
        const sealed = new Uint8Array(await crypto.subtle.encrypt(this.#how(iv, kind, id), this.#key, plain));
        const bytes = new Uint8Array(iv.length + sealed.length);
        bytes.set(iv);
        bytes.set(sealed, iv.length);
        await this.#storage.put({ user: this.user, kind, id, order, bytes });
    }

    /** What opens, in order, and how many do not: they were sealed under a key that is no more. */
    async all<T>(kind: Kind): Promise<{ values: { id: string; order: number; value: T }[]; lost: number }> {
        const values: { id: string; order: number; value: T }[] = [];
        let lost = 0;
        for (const { id, order, bytes } of await this.#storage.all(this.user, kind)) {
            try {
                const how = this.#how(bytes.slice(0, NONCE_BYTES), kind, id);
                const plain = await crypto.subtle.decrypt(how, this.#key, bytes.slice(NONCE_BYTES));
                values.push({ id, order, value: JSON.parse(new TextDecoder().decode(plain)) as T });
            } catch {
                lost += 1;
            }
        }
        return { values, lost };
    }

    drop(kind: Kind, id: string): Promise<void> {
        return this.#storage.remove(this.user, kind, id);
    }

    /** For signing out: nothing of this person stays. */
    wipe(): Promise<void> {
        return this.#storage.wipe(this.user);
    }

    /** A value opens in its own place only: moved to another person, kind or id it is noise. */
    #how(iv: Uint8Array<ArrayBuffer>, kind: Kind, id: string): AesGcmParams {
        return {
            name: "AES-GCM",
            iv,
            additionalData: new TextEncoder().encode(`carethread/vault/v1 ${this.user} ${kind} ${id}`),
        };
    }
}
