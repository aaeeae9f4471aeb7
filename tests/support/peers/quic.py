"""QUIC peers on aioquic, for the tests in network namespaces.

quic.py serve HOST PORT CERTIFICATE KEY [--retry]
quic.py fetch HOST PORT [--version 1|2] [--upgrade] [--resume] [--protocols N] [--name NAME]
Both: [--datagram BYTES], the size of their datagrams.

The server echoes every stream, speaks versions 1 and 2, and runs until it is ended. The client sends one stream, checks
the echo, and says with which version it was answered.
"""

import argparse
import asyncio
import ssl

from aioquic.asyncio import connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

VERSIONS = {1: QuicProtocolVersion.VERSION_1, 2: QuicProtocolVersion.VERSION_2}
MESSAGE = b"hello"
# Generous for a handshake on one machine, however busy; short against the limit of the test.
PATIENCE = 20.0


def echo(reader, writer):
    async def answer():
        writer.write(await reader.read())
        writer.write_eof()

    asyncio.ensure_future(answer())


async def run_server(args):
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=["h3"],
        supported_versions=[VERSIONS[2], VERSIONS[1]],
        max_datagram_size=args.datagram,
    )
    configuration.load_cert_chain(args.certificate, args.key)
    tickets = {}
    await serve(
        args.host,
        args.port,
        configuration=configuration,
        retry=args.retry,
        session_ticket_fetcher=lambda name: tickets.pop(name, None),
        session_ticket_handler=lambda ticket: tickets.__setitem__(ticket.ticket, ticket),
        stream_handler=echo,
    )
    await asyncio.Event().wait()


def client_configuration(args, ticket):
    version = VERSIONS[args.version]
    # The first name is what the fingerprint shows; the others only make the ClientHello long.
    protocols = ["h3"] + [f"protocol-number-{number}" for number in range(args.protocols)]
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=protocols,
        server_name=args.name,
        supported_versions=[version],
        verify_mode=ssl.CERT_NONE,
        session_ticket=ticket,
        max_datagram_size=args.datagram,
    )
    if args.upgrade:
        # RFC 9368: begins in version 1 and would rather have version 2.
        configuration.supported_versions = [VERSIONS[2], VERSIONS[1]]
        configuration.original_version = VERSIONS[1]
    return configuration


async def fetch(args, ticket=None):
    tickets = []
    # Early data goes out before the server has answered.
    early = ticket is not None
    async with connect(
        args.host,
        args.port,
        configuration=client_configuration(args, ticket),
        session_ticket_handler=tickets.append,
        wait_connected=not early,
    ) as client:
        reader, writer = await client.create_stream()
        writer.write(MESSAGE)
        writer.write_eof()
        answer = await reader.read()
        assert answer == MESSAGE, answer
        accepted = client._quic.tls.early_data_accepted
        version = client._quic._version
    print(f"version {version:#x}, early data {accepted}")
    return tickets


async def run_client(args):
    tickets = await fetch(args)
    if args.resume:
        await fetch(args, tickets[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["serve", "fetch"])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("certificate", nargs="?")
    parser.add_argument("key", nargs="?")
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--version", type=int, choices=sorted(VERSIONS), default=1)
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--datagram", type=int, default=1200)
    parser.add_argument("--protocols", type=int, default=0)
    parser.add_argument("--name", default="localhost")
    args = parser.parse_args()
    if args.mode == "serve":
        asyncio.run(run_server(args))
    else:
        asyncio.run(asyncio.wait_for(run_client(args), PATIENCE))


main()
