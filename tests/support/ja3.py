"""Prints JA3 of each ClientHello and JA3S of each ServerHello on standard input: one handshake message a line, in hex.

A line of the output is the MD5 and the string. Written from the description of JA3, to compare the sensor with.
"""

import hashlib
import sys

GREASE = {0x0A0A + 0x1010 * number for number in range(16)}


def number(data):
    return int.from_bytes(data, "big")


def split(data, size):
    """The bytes behind a length of `size` bytes, and the rest."""
    end = size + number(data[:size])
    return data[size:end], data[end:]


def numbers(data, size):
    values = [number(data[at : at + size]) for at in range(0, len(data), size)]
    return [value for value in values if value not in GREASE]


for line in sys.stdin:
    message = bytes.fromhex(line)
    is_client = message[0] == 1
    body, rest = split(message[1:], 3)
    assert not rest
    version, body = number(body[:2]), body[2 + 32 :]
    session, body = split(body, 1)
    if is_client:
        suites, body = split(body, 2)
        compression, body = split(body, 1)
    else:
        suites, body = body[:2], body[3:]
    extensions = []
    block, rest = split(body, 2)
    while block:
        content, behind = split(block[2:], 2)
        extensions.append((number(block[:2]), content))
        block = behind
    lists = [[version], numbers(suites, 2), [kind for kind, _ in extensions if kind not in GREASE]]
    if is_client:
        bodies = dict(extensions)
        lists.append(numbers(split(bodies[10], 2)[0], 2) if 10 in bodies else [])
        lists.append(list(split(bodies[11], 1)[0]) if 11 in bodies else [])
    string = ",".join("-".join(map(str, values)) for values in lists)
    print(hashlib.md5(string.encode()).hexdigest(), string)
