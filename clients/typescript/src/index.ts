// What the package offers. The storage in IndexedDB stands apart (`carethread/indexeddb`), so that programs without a
// browser need not have it.
export { client, type Client } from "./client.ts";
export { comesBack, backoff } from "./closing.ts";
export { Connection, type Heard, type Options, type Reset, type SignedIn, type State } from "./connection.ts";
export * from "./frames.ts";
export type * from "./generated.ts";
export { WRITES } from "./generated.ts";
export { Order, type Cursors, type Gap } from "./order.ts";
export { Outbox, type Asker, type Write, type WriteState } from "./outbox.ts";
export type { Lane } from "./questions.ts";
export { Lost, Refused, byTicket, endSession, openSession, type Session, type SignIn } from "./sign-in.ts";
export { MemoryStorage, type Kind as SealedKind, type Sealed, type Storage } from "./storage.ts";
export { PatientStore, readRecord, type PatientChanges } from "./store/patient.ts";
export { STATES, reckon, type Reckoned, type ReckonedBoard } from "./store/reckon.ts";
export { reduce, withPast, withSnapshot, without, type Snapshot } from "./store/reduce.ts";
export { stands, type Answer, type Note, type Said, type Version } from "./store/said.ts";
export {
    isWhole,
    lastSeq,
    nothing,
    type Line,
    type OpenHandoff,
    type OpenMarker,
    type Sight,
    type Task,
    type TaskState,
    type Work,
} from "./store/sight.ts";
export { isFinal } from "./store/tasks.ts";
export { later, millis } from "./time.ts";
export { Vault, sealingKey } from "./vault.ts";
export { ambient, type Socket, type World } from "./world.ts";
