"""What the package ja4plus says of a capture file, one JSON object a line: kind, value, source and destination.

Its own command prints one certificate a packet; the object behind it knows them all.
"""

import json
import sys

from ja4plus import Processor
from scapy.utils import PcapReader


def say(kind, value, source, destination):
    print(json.dumps({"kind": kind, "value": value, "source": source, "destination": destination}))


def main():
    processor = Processor(thread_safe=False)
    with PcapReader(sys.argv[1]) as packets:
        for packet in packets:
            for found in processor.process_packet(packet):
                if found.type != "ja4x":
                    source, destination = (found.src_ip, found.src_port), (found.dst_ip, found.dst_port)
                    say(found.type, found.fingerprint, source, destination)
    certificates = [dict(found, type="ja4x") for found in processor.ja4x.get_fingerprints()]
    for found in processor.close_open_windows() + certificates:
        source, destination = (found["src"], found["srcport"]), (found["dst"], found["dstport"])
        say(found["type"], found["fingerprint"], source, destination)


main()
