// A line to a running server that can be cut, silenced and given other files: everything goes through it, the page too, which the program
// serves. With CARETHREAD_WEB=dist the page is that of `dist/`, for whoever works on it and does not want to build the program each time.
// Usage: node e2e/serve.mjs SERVER_PORT [PORT] [TLS_FOLDER]
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:https";
import { connect } from "node:tls";
import { extname, join, normalize } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
const OWN_PAGE = process.env.CARETHREAD_WEB === "dist";
const POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/** Serves; gives the server, to be closed, and its port. `tls` is the folder of the server's own certificate. */
export async function serve({ serverPort, tls, port = 0 }) {
    const own = { cert: readFileSync(join(tls, "cert.pem")), key: readFileSync(join(tls, "key.pem")) };
    const to = () => ({ host: "localhost", port: target.port, ca: own.cert });
    const target = { port: serverPort };
    // A browser says where its page is from; the server knows its own address only.
    const headers = (given) => ({ ...given, host: `localhost:${target.port}`, ...(given.origin ? { origin: `https://localhost:${target.port}` } : {}) });

    let down = false;
    /** Another build: one file is other, and the worker knows it by its sum. */
    let replaced;
    const other = (file) => {
        if (replaced && file.endsWith(replaced.file)) return replaced.body;
        if (!replaced || !file.endsWith("sw.js")) return undefined;
        const sum = createHash("sha256").update(replaced.body).digest("base64");
        const worker = readFileSync(join(DIST, "sw.js"), "utf8");
        const at = worker.indexOf(`"${replaced.file}":"sha256-`);
        return worker.slice(0, at) + worker.slice(at).replace(/sha256-[^"]+/, `sha256-${sum}`).replace(/BUILD="[^"]+"/, 'BUILD="another"');
    };
    const page = createServer(own, (asked, answer) => {
        const path = new URL(asked.url, "https://localhost").pathname;
        const file = normalize(path === "/" ? "/index.html" : path);
        const api = path.startsWith("/v1/") || path === "/readyz";
        if (down && !api) return void asked.socket.destroy();
        if (api || (!OWN_PAGE && !other(file))) {
            const on = request({ ...to(), method: asked.method, path: asked.url, headers: headers(asked.headers) }, (got) => {
                answer.writeHead(got.statusCode ?? 502, got.headers);
                got.pipe(answer);
            });
            on.on("error", () => answer.writeHead(502).end());
            asked.pipe(on);
            return;
        }
        try {
            const body = other(file) ?? readFileSync(join(DIST, file));
            answer.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer" });
            answer.end(body);
        } catch {
            answer.writeHead(404).end();
        }
    });
    const lines = new Set();
    page.on("upgrade", (asked, socket, head) => {
        const on = connect({ ...to(), servername: "localhost" }, () => {
            const lines = Object.entries(headers(asked.headers)).map(([name, value]) => `${name}: ${value}`);
            on.write(`GET ${asked.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
            if (head.length > 0) on.write(head);
            on.pipe(socket).pipe(on);
        });
        const end = () => (on.destroy(), socket.destroy(), lines.delete(line));
        const line = { end, silence: (both) => (on.unpipe(socket), on.pause(), both && (socket.unpipe(on), socket.pause())) };
        lines.add(line);
        for (const side of [on, socket]) side.on("error", end).on("close", end);
    });
    await new Promise((listening) => page.listen(port, "127.0.0.1", listening));
    const cut = () => lines.forEach(({ end }) => end());
    /** Lines stay open and carry nothing any more: no answers, or nothing either way. */
    const silence = (both) => lines.forEach((line) => line.silence(both));
    return { port: page.address().port, target, cut, silence, down: (is) => (down = is), replace: (file, body) => (replaced = file && { file, body }), close: () => (cut(), page.close()) };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    const [serverPort, port = "5173", tls = "carethread-data/tls"] = process.argv.slice(2);
    const { port: at } = await serve({ serverPort: Number(serverPort), port: Number(port), tls });
    console.log(`https://localhost:${at}/`);
}
