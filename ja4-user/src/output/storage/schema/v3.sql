-- Version 3. Times: nanoseconds since the Unix epoch. Addresses: 4 or 16 bytes in network order.
-- Absent is NULL. STRICT: a column holds its type and nothing else.

CREATE TABLE sensor_run (
    id INTEGER PRIMARY KEY,
    started INTEGER NOT NULL,
    ended INTEGER,                      -- NULL: it runs, or was killed
    clean INTEGER NOT NULL,             -- 1: it has ended well
    pid INTEGER,
    version TEXT NOT NULL,
    sensor TEXT,
    interfaces TEXT NOT NULL,           -- JSON, list of names
    files TEXT NOT NULL,                -- JSON, list of names
    counters TEXT                       -- JSON
) STRICT;

-- One row: the sensor whose database this is.
CREATE TABLE sensor (
    id TEXT NOT NULL,                   -- drawn when the database was made
    learning_since INTEGER              -- NULL: it has seen nothing yet
) STRICT;
INSERT INTO sensor (id) VALUES (lower(hex(randomblob(16))));

CREATE TABLE connection (
    id INTEGER PRIMARY KEY,             -- in the order in which they were first seen
    run INTEGER,
    flow_id INTEGER NOT NULL,           -- as in the output
    interface INTEGER,                  -- index into the run's interfaces
    src_ip BLOB NOT NULL, src_port INTEGER NOT NULL,
    dest_ip BLOB NOT NULL, dest_port INTEGER NOT NULL,
    proto INTEGER NOT NULL,
    vlan INTEGER, vlan_inner INTEGER,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    duration_class INTEGER NOT NULL,    -- class of duration: 0 up to a minute, 1 hour, 2 day, 3 longer, 4 open
    pkts_toserver INTEGER NOT NULL, pkts_toclient INTEGER NOT NULL,
    bytes_toserver INTEGER NOT NULL, bytes_toclient INTEGER NOT NULL,
    state TEXT,                         -- NULL: it goes on
    app_proto TEXT,
    tls_sni TEXT,
    http_hostname TEXT,
    app_name TEXT, app_source TEXT, app_category TEXT, app_confidence INTEGER,
    known_bad_pattern TEXT, known_bad_category TEXT, known_bad_confidence INTEGER, known_bad_note TEXT,
    latency_client_us INTEGER, latency_server_us INTEGER,
    latency_client_application_us INTEGER, latency_server_application_us INTEGER,
    hops_client INTEGER, hops_server INTEGER,
    mss INTEGER,
    tunnel_name TEXT, tunnel_confidence INTEGER, tunnel_mtu INTEGER,
    os TEXT,
    ssh_session TEXT,
    first_seen INTEGER NOT NULL,
    primary_value INTEGER,              -- fingerprint_value.id
    alerts TEXT,                        -- JSON, list of descriptions
    attributes TEXT                     -- JSON, by protocol, as in the output
) STRICT;
CREATE INDEX connection_by_end ON connection (duration_class, "end");

CREATE TABLE fingerprint_value (
    id INTEGER PRIMARY KEY,
    method INTEGER NOT NULL,            -- 0 ja4, 1 ja4s, 2 ja4t, 3 ja4ts, 4 ja4l, 5 ja4ls, 6 ja4h, 7 ja4x, 8 ja4ssh, 9 ja4d, 10 ja4d6
    value TEXT NOT NULL,
    raw TEXT,
    label_name TEXT, label_source TEXT, label_category TEXT, label_confidence INTEGER,
    known_bad_pattern TEXT, known_bad_category TEXT, known_bad_confidence INTEGER, known_bad_note TEXT,
    UNIQUE (method, value)
) STRICT;

-- Clustered by its key, which grows with time; no rowid beside it. See storage/fingerprint_rows.rs.
CREATE TABLE fingerprint (
    id INTEGER NOT NULL PRIMARY KEY,    -- connection.id * 2^20, and its number among those of the connection
    value INTEGER NOT NULL,             -- fingerprint_value.id
    time INTEGER NOT NULL,
    packet INTEGER,
    side INTEGER NOT NULL,              -- 0 client, 1 server
    count INTEGER NOT NULL,             -- number among those of its method and connection
    first_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fingerprint_by_value ON fingerprint (value, time);

CREATE TABLE first_seen (
    value INTEGER NOT NULL,             -- fingerprint_value.id
    host BLOB NOT NULL,                 -- empty: anywhere on the network
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    PRIMARY KEY (value, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    run INTEGER,
    time INTEGER NOT NULL,
    packet INTEGER,
    rule TEXT NOT NULL,
    description TEXT NOT NULL,
    severity INTEGER NOT NULL,          -- 1 low, 2 medium, 3 high, 4 critical
    grouped TEXT NOT NULL,              -- JSON, list of [name, value]
    reason TEXT NOT NULL,
    flow_id INTEGER,
    interface INTEGER,
    src_ip BLOB, src_port INTEGER,
    dest_ip BLOB, dest_port INTEGER,
    proto INTEGER,
    vlan INTEGER, vlan_inner INTEGER,
    method INTEGER, value TEXT,
    category TEXT,
    confidence INTEGER,
    suppressed INTEGER NOT NULL
) STRICT;
CREATE INDEX alert_by_time ON alert (time);
CREATE INDEX alert_by_flow ON alert (flow_id);

CREATE TABLE profile (
    source TEXT NOT NULL,               -- whose count it is: the id of the database of the sensor that saw the pair
    pair TEXT NOT NULL,                 -- what key and value are: host_ja4, host_ja4t, ja4_ja4s, sni_ja4x
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    count INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (source, pair, key, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE unmigrated (
    id INTEGER PRIMARY KEY,
    from_version INTEGER NOT NULL,
    source TEXT NOT NULL,               -- the table it stood in
    reason TEXT NOT NULL,
    content TEXT NOT NULL               -- the row, a JSON object
) STRICT;
