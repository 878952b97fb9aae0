"""Requests that an HTTP client should not send: malformed, too long, cut, of another protocol, random."""

from __future__ import annotations

import random
from collections.abc import Iterator

LONG = b"a" * 100_000
HOST = b"Host: a\r\n"
ADDRESSES = [b"\xff, not-one, 999.1.1.1", b"[::1]:99999", b"fe80::1%25eth0", b""]
QUERIES = [b"%00", b"%ff%fe", b"%22%22%22", b"*", b"a%20" * 500, b"NEAR(", b"%ED%A0%80", b"%F0%9F%98%80" * 100]
NUMBERS = [b"-1", b"0", b"9" * 400, b"1e3", b"NaN", b"%00", b"1.5"]
JSON = [
    b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b"[" * 20_000, b'{"a":' * 3000, b'{"a":1,"a":2}',
    b'{"quota_bytes":NaN}',
    b'{"delimiter":"\\ud800"}', b'{"quota_bytes":1e999}', b'{"quota_bytes":' + b"9" * 5000 + b"}",
    b'{"custom_fields":[{"key":"\\u0000"}]}', b'{"field_mapping":{"\\ud800":"email"}}', b'{"key":"ssh-ed25519 AAAA"}',
    b'{"key":"\\ud800"}', b'{"key":"ssh-rsa ' + LONG + b'"}',
]  # fmt: skip
FORMS = [
    (b"multipart/form-data", b"0123456789"),
    (b"multipart/form-data; boundary=", b"0123456789"),
    (b"multipart/form-data; boundary=\xff\xfe", b"0123456789"),
    (b"multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n--"),
    (b"application/x-www-form-urlencoded; charset=utf-99", b"token=%ff%00"),
    (b"application/x-www-form-urlencoded", b"a=b&" * 500_000),
    (b"\xff", b"x"),
]


def strangers() -> list[bytes]:
    """Return requests of clients without a token."""
    found = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"SSH-2.0-x\r\n", b"\r\n" * 5000, bytes(1000), LONG,
        b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\n" + HOST + b"\n",
        _ask(b"http://evil.example/healthz"), _ask(b"http://"), _ask(b"http://[::1/"),
        _ask(b"//evil.example/%2e%2e/"),
        _ask(b"a:443", b"CONNECT"), _ask(b"*", b"OPTIONS"), _ask(b"/", b"TRACE"), _ask(b"/", b"get"), _ask(b"*"),
        _ask(b"a"),
        _ask(b"/healthz") * 50, _ask(b"/healthz?" + b"a&" * 10_000), _ask(b"/\x00"), _ask(b"/%00%ff%fe"),
        _ask(b"/" + LONG),
        _ask(b"/static/../../etc/passwd"), _ask(b"/static/%00"), _ask(b"/static/" + b"a/" * 5000),
        *(_ask(b"/", header=each) for each in _headers()),
        *(_ask(b"/", header=b"X-Forwarded-Proto: \xff\r\nX-Forwarded-For: " + each + b"\r\n") for each in ADDRESSES),
        *(_post(b"/sign-in", body, kind, b"Sec-Fetch-Site: same-origin\r\n") for kind, body in FORMS),
        *(_ask(b"/sign-in", b"POST", each) for each in _lengths()),
    ]  # fmt: skip
    return [*found, *(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + each
                      for each in (b"zz\r\n", b"f" * 20 + b"\r\n", b"5\r\nab", b"1\r\nab"))]  # fmt: skip


def owners(token: str, tenant: bytes) -> list[bytes]:
    """Return requests of an owner of a tenant."""
    known = b"Authorization: Bearer " + token.encode() + b"\r\n"
    api = b"/api/v1/tenants/" + tenant
    found = [_ask(api + b"/users?search=" + each, header=known) for each in QUERIES]
    found += [_ask(api + b"/users/" + each, header=known) for each in (*QUERIES, b"..%2f", b"%2F", b"a" * 3000)]
    for number in NUMBERS:
        paths = (
            b"/imports?limit=",
            b"/imports?before=",
            b"/imports/",
            b"/imports/1/changes?after=",
            b"/events?after=",
        )
        found += [_ask(api + path + number, header=known) for path in paths]
        found.append(_ask(api + b"/events", header=known + b"Last-Event-ID: " + number + b"\r\n"))
    for body in JSON:
        found.append(_post(api + b"/settings", body, b"application/json", known, b"PATCH"))
        found.append(_post(api + b"/keys", body, b"application/json", known))
    for path in (b"/imports", b"/imports?dry_run=true", b"/trials"):
        found += [_post(api + path, body[:1000], kind, known) for kind, body in FORMS]
        found += [_ask(api + path, b"POST", known + each) for each in _lengths()]
    found += [_ask(api + b"/keys/" + each, b"DELETE", known) for each in QUERIES]
    return found


def damaged(requests: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` of these requests, cut or with changed bytes."""
    chance = random.Random(seed)
    for _ in range(count):
        whole = bytearray(chance.choice(requests))
        for _ in range(chance.randrange(1, 5)):
            whole[chance.randrange(min(len(whole), 300))] = chance.randrange(256)
        yield bytes(whole[: chance.randrange(len(whole))] if chance.random() < 0.2 else whole)


def _headers() -> list[bytes]:
    return [
        HOST, b"X: " + 2 * LONG + b"\r\n", b"".join(b"X%d: 1\r\n" % number for number in range(5000)),
        b" folded: a\r\n",
        b"X: a\r\n b\r\n", b"Cookie: headcount=\xff\xfe\r\n", b"Cookie: " + b"a=b;" * 3000 + b"\r\n",
        b"Authorization: Bearer \xff\r\n", b"Authorization: Basic \xff\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n", b"Origin: http://[\r\n",
        b"Expect: 100-continue\r\nContent-Length: 10\r\n", b"If-Match: \xff\r\n", b"Range: bytes=9-1,\xff\r\n",
    ]  # fmt: skip


def _lengths() -> list[bytes]:
    """Return headers of bodies that are contradictory or never come."""
    return [
        b"Content-Length: -5\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: x\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
        b"Content-Length: 50\r\n",
    ]  # fmt: skip


def _ask(path: bytes, method: bytes = b"GET", header: bytes = b"") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + HOST + header + b"\r\n"


def _post(path: bytes, body: bytes, kind: bytes, header: bytes = b"", method: bytes = b"POST") -> bytes:
    return _ask(path, method, header + b"Content-Type: " + kind + b"\r\nContent-Length: %d\r\n" % len(body)) + body
