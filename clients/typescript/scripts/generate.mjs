// Makes `src/generated.ts` from the committed copy of what the server publishes at /v1/asyncapi.json. The copy is held
// against the server by `cargo test --test it typescript`, the types against the copy by `npm run check`: so no type
// can say what the server does not. Usage: node scripts/generate.mjs [--check]
import { readFileSync, writeFileSync } from "node:fs";

const at = (path) => new URL(`../${path}`, import.meta.url);
const { messages, schemas } = JSON.parse(readFileSync(at("schemas/asyncapi.json"), "utf8")).components;

const named = (ref) => ref.split("/").at(-1);
const member = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));
// One line each: an editor shows them all the same, and a type stays one line of a difference.
const words = (text) => (text ? `/** ${text.replace(/\s+/g, " ").replaceAll("*/", "*\\/")} */ ` : "");
const union = (types) => [...new Set(types)].join(" | ");
const grouped = (type) => (type.includes(" | ") ? `(${type})` : type);

function type(schema) {
    if (schema === true || schema === undefined) return "unknown";
    if (schema.$ref) return named(schema.$ref);
    if ("const" in schema) return JSON.stringify(schema.const);
    if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)));
    if (schema.allOf) return schema.allOf.map((part) => grouped(type(part))).join(" & ");
    const choice = schema.oneOf ?? schema.anyOf;
    const shape = schema.properties && Object.keys(schema.properties).length > 0;
    if (choice) {
        const choices = union(choice.map((one) => alternative(one, schema)));
        return shape ? `${object(schema)} & (${choices})` : choices;
    }
    if (schema.type === undefined) return "unknown";
    const types = [schema.type].flat();
    return union(types.map((one) => plain(one, schema)));
}

/** One of several ways to fill the same object may say no more than which members it needs. */
function alternative(one, of) {
    if (!of.properties || one.$ref || !one.required) return type(one);
    const needs = (name) => ({ ...(of.properties[name] ?? one.properties?.[name]) });
    return `{ ${one.required.map((name) => `${member(name)}: NonNullable<${type(needs(name))}>`).join("; ")} }`;
}

function plain(name, schema) {
    switch (name) {
        case "string":
        case "boolean":
        case "null":
            return name;
        case "integer":
        case "number":
            return "number";
        case "array": {
            const items = grouped(type(schema.items));
            return schema.minItems === 2 && schema.maxItems === 2 ? `[${items}, ${items}]` : `${items}[]`;
        }
        case "object":
            return object(schema);
        default:
            throw new Error(`a schema of type ${name}: teach scripts/generate.mjs what it is`);
    }
}

function object(schema) {
    const properties = Object.entries(schema.properties ?? {});
    if (properties.length === 0) {
        return typeof schema.additionalProperties === "object"
            ? `Record<string, ${type(schema.additionalProperties)}>`
            : "Record<string, unknown>";
    }
    const required = new Set(schema.required);
    const members = properties.map(([name, one]) => {
        const note = words(typeof one === "object" ? one.description : undefined);
        return `${note}${member(name)}${required.has(name) ? "" : "?"}: ${type(one)}`;
    });
    return `{ ${members.join("; ")} }`;
}

// A command and an event are their body in an envelope that `frames.ts` gives once for all.
const enveloped = new Set(["EventFrame", ...Object.keys(schemas).filter((name) => /^.+(Command|Event)$/.test(name))]);
const types = Object.keys(schemas)
    .filter((name) => !enveloped.has(name))
    .map((name) => `${words(schemas[name].description)}export type ${name} = ${type(schemas[name])};`);

const ops = [],
    writes = [],
    record = [],
    own = [],
    passing = [];
for (const [name, { payload }] of Object.entries(messages)) {
    const reply = messages[`${name}.reply`];
    if (reply) {
        const command = schemas[named(payload.allOf[0].$ref)];
        // Where nothing is required, a command may come without `data`; `{}` says the same.
        const given = command.properties.data;
        const data = named(given.$ref ?? given.anyOf[0].$ref);
        ops.push(
            `  ${words(command.description)}${member(name)}: { data: ${data}; reply: ${type(reply.payload.properties.data)} };`,
        );
        if (schemas[data].properties?.key) writes.push(name);
    } else if (payload.$ref && named(payload.$ref).endsWith("Event")) {
        const body = type(schemas[named(payload.$ref)].properties.data);
        const [into, short] = name.startsWith("me.")
            ? [own, name.slice(3)]
            : name.endsWith(".passing")
              ? [passing, name.slice(0, -".passing".length)]
              : [record, name];
        into.push(`  ${member(short)}: ${body};`);
    }
}

const list = (names) => names.map((name) => JSON.stringify(name)).join(", ");
const text = `// Made by scripts/generate.mjs from schemas/asyncapi.json, which is what the server says of itself. Not to be changed by hand.

${types.join("\n")}

/** Every command: what it takes and what it is answered with. */
export interface Ops {
${ops.join("\n")}
}

/** What stands in the record, by the name of the event. */
export interface RecordEvents {
${record.join("\n")}
}

/** An entry, as it is sent and as \`history\` gives it. */
export type EventFrame = {
  [Name in keyof RecordEvents]: { type: "event"; event: Name; channel: string; seq: number; at: string; by: string; data: RecordEvents[Name] };
}[keyof RecordEvents];

/** What is told to one person on their channel \`me\`. */
export interface OwnEvents {
${own.join("\n")}
}

/** What is not kept. */
export interface PassingEvents {
${passing.join("\n")}
}

/** Commands that take a \`key\`: repeated under it, they are done once. */
export const WRITES = [${list(writes)}] as const;
`;

if (!process.argv.includes("--check")) {
    writeFileSync(at("src/generated.ts"), text);
} else if (readFileSync(at("src/generated.ts"), "utf8") !== text) {
    console.error("src/generated.ts is not what schemas/asyncapi.json says: npm run generate");
    process.exit(1);
}
