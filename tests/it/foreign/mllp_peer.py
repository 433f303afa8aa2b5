"""A receiver of HL7 v2 that others wrote: the parser of hl7apy behind MLLP, with faults on demand.

Usage: mllp_peer.py [CERTIFICATE KEY [CLIENT_CA]]; with them it speaks TLS, and demands a client's certificate of that authority. Prints
`listening on PORT`, then reads commands from standard input, a JSON object a line, and answers each with a line:
  {"faults": [{"kind": K, "times": 1, "skip": 0, "error": "207", "text": "..."}]}  replaces the faults; K is AE, AR, CE, CR, CA, wrong_id,
                                                                      silent, cut (half a frame), drop (nothing), garbage, unframed, late
  {"received": true}   the messages so far: {"raw", "type", "control_id", "problem", "answer", "fields": {"PID-3": ...}}
The input's end ends it.
"""

import asyncio
import json
import ssl
import sys

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

START, END = b"\x0b", b"\x1c\x0d"
SHOWN = {
    "MSH": ["msh_3", "msh_4", "msh_5", "msh_6", "msh_9", "msh_10", "msh_12", "msh_18"],
    "PID": ["pid_3", "pid_5", "pid_7", "pid_8"],
    "TXA": ["txa_2", "txa_3", "txa_4", "txa_6", "txa_12", "txa_13", "txa_17"],
}

faults = []
received = []


def take():
    """The fault that is meant for this message, if any."""
    for fault in faults:
        if fault.get("times", 1) > 0:
            if fault.get("skip", 0) > 0:
                fault["skip"] -= 1
                continue
            fault["times"] = fault.get("times", 1) - 1
            return fault
    return None


def segments(raw):
    return {line[:3]: line.split("|") for line in reversed(raw.split("\r")) if line}


def understood(raw):
    """What the parser makes of it: the fields that tests look at, every OBX, and what it complains of."""
    try:
        message = parse_message(raw, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
        fields = {}
        for name, wanted in SHOWN.items():
            for segment in message.children:
                if segment.name == name:
                    for field in wanted:
                        value = getattr(segment, field).to_er7()
                        fields[f"{name}-{field.split('_')[1]}"] = value
        observed = [
            [getattr(segment, f"obx_{n}").to_er7() for n in (1, 2, 3, 5, 11)]
            for segment in message.children
            if segment.name == "OBX"
        ]
        try:
            parse_message(raw, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True).validate()
            problem = None
        except HL7apyException as error:
            problem = str(error)
        return {"fields": fields, "observed": observed, "problem": problem}
    except HL7apyException as error:
        return {"fields": {}, "observed": [], "problem": str(error)}


def acknowledgement(raw, code, control_id, error=None, text=None):
    header = segments(raw)["MSH"]
    lines = [
        "|".join(["MSH", "^~\\&", *header[4:6], *header[2:4], "20260302170002+0000", "", "ACK", f"A{len(received)}", "P", "2.5.1"]),
        f"MSA|{code}|{control_id}",
    ]
    if error or text:
        lines.append(f"ERR|||{error or '207'}^^HL70357|E||||{text or ''}")
    return ("\r".join(lines) + "\r").encode()


async def answer(raw, writer):
    """Whether the connection goes on."""
    header = segments(raw).get("MSH", [])
    control_id = header[9] if len(header) > 9 else ""
    fault = take()
    kind = fault["kind"] if fault else None
    told = {"raw": raw, "type": header[8] if len(header) > 8 else "", "control_id": control_id, "answer": kind or "AA"}
    received.append(told | understood(raw))
    if kind == "silent":
        return True
    if kind == "drop":
        return False
    if kind == "garbage":
        writer.write(START + b"this is no acknowledgement" + END)
    elif kind == "unframed":
        writer.write(acknowledgement(raw, "AA", control_id))
    elif kind == "cut":
        writer.write((START + acknowledgement(raw, "AA", control_id))[:20])
    elif kind == "wrong_id":
        writer.write(START + acknowledgement(raw, "AA", "somebody-elses") + END)
    elif kind == "late":
        await asyncio.sleep(fault["seconds"])
        writer.write(START + acknowledgement(raw, "AA", control_id) + END)
    elif kind:
        writer.write(START + acknowledgement(raw, kind, control_id, fault.get("error"), fault.get("text")) + END)
    else:
        writer.write(START + acknowledgement(raw, "AA", control_id) + END)
    await writer.drain()
    return kind not in ("cut", "unframed")


async def serve(reader, writer):
    try:
        while True:
            frame = await reader.readuntil(END)
            begin = frame.find(START)
            if begin < 0 or not await answer(frame[begin + 1 : -2].decode("utf-8"), writer):
                return
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        return
    finally:
        writer.close()


def told(line):
    """Does a command; what is answered."""
    command = json.loads(line)
    if "faults" in command:
        faults[:] = command["faults"]
    return received if command.get("received") else {}


async def main():
    tls = None
    if len(sys.argv) > 2:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
        if len(sys.argv) > 3:
            tls.load_verify_locations(sys.argv[3])
            tls.verify_mode = ssl.CERT_REQUIRED
    # A document is one frame, and frames hold files.
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=64 << 20)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(told(line)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
