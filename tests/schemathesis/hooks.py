"""For schemathesis: signs in anew every few seconds, because one of the requests it makes up ends the session, and names things that
are there in half of the requests, because made-up ids only ever find that nothing is there.
"""

import json
import os
import random
import ssl
import urllib.request

import schemathesis

KNOWN = json.loads(os.environ["CARETHREAD_KNOWN"])  # member of `data` -> an id
TLS = ssl.create_default_context(cafile=os.environ["CARETHREAD_CERTIFICATE"])


@schemathesis.auth(refresh_interval=2)
class SignIn:
    def get(self, case, context):
        body = os.environ["CARETHREAD_SIGN_IN"].encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(os.environ["CARETHREAD_URL"] + "/v1/sessions", body, headers)
        with urllib.request.urlopen(request, context=TLS) as answer:
            return json.load(answer)["token"]

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.serializer("message/rfc822")
def mail(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_body(context, body):
    data = body.get("data") if isinstance(body, dict) else None
    if isinstance(data, dict) and random.random() < 0.5:
        known = {name: KNOWN[name] for name in data if name in KNOWN and isinstance(data[name], str)}
        return {**body, "data": {**data, **known}}
    return body
