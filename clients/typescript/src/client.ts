// Connection and outbox of one person, put together.
import { Connection, type Options } from "./connection.ts";
import { Outbox } from "./outbox.ts";
import type { Vault } from "./vault.ts";

export interface Client {
    connection: Connection;
    outbox: Outbox;
}

/**
 * A connection with an outbox on it. `vault` is where writes are kept until they are stored; without one they live as
 * long as the program. Call `outbox.open()` for what an earlier page left, and `connection.start()`.
 */
export function client(options: Options, vault?: Vault): Client {
    const connection = new Connection(options);
    const asker = {
        ask: connection.ask.bind(connection),
        get ready() {
            return connection.state.name === "live" || connection.state.name === "catching_up";
        },
    };
    const outbox = new Outbox(asker, vault, options.world);
    connection.on("state", (state) => {
        if (state.name === "catching_up" || state.name === "live") outbox.pump();
    });
    return { connection, outbox };
}
