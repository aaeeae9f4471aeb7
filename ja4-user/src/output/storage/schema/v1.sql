-- Version 1: one table for each kind of row, every value written out in full.
CREATE TABLE connections (
    flow INTEGER, client TEXT, client_port INTEGER, server TEXT, server_port INTEGER, proto INTEGER,
    start INTEGER, last INTEGER,
    packets_to_server INTEGER, packets_to_client INTEGER, bytes_to_server INTEGER, bytes_to_client INTEGER,
    ended TEXT, sni TEXT, http_host TEXT, app TEXT,
    attributes TEXT
);
CREATE TABLE fingerprints (
    time INTEGER, packet INTEGER,
    flow INTEGER, client TEXT, client_port INTEGER, server TEXT, server_port INTEGER, proto INTEGER,
    method TEXT, value TEXT, raw TEXT, count INTEGER
);
CREATE TABLE first_seen (
    method TEXT, value TEXT, host TEXT, first INTEGER, last INTEGER, count INTEGER, approved INTEGER
);
CREATE TABLE alerts (
    time INTEGER, packet INTEGER, rule TEXT, severity TEXT, reason TEXT, flow INTEGER, method TEXT, value TEXT
);
CREATE TABLE runs (
    started INTEGER, ended INTEGER, version TEXT, sources TEXT, counters TEXT, clean INTEGER
);
CREATE INDEX fingerprints_by_value ON fingerprints (value);
