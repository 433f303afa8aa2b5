// What @medplum/core expects of the platform and Node has from version 22 on. Imported before it.
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;
