-- A store of version 1 as its release made it, with two events. Frozen: never edit.
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE customers (
    customer INTEGER PRIMARY KEY, customer_id TEXT NOT NULL UNIQUE, account_id TEXT, attributes TEXT,
    has_row INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE items (
    item INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE, title TEXT, author TEXT, category TEXT, price REAL,
    currency TEXT, available INTEGER, published INTEGER, expires INTEGER, attributes TEXT,
    has_row INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (
    customer INTEGER NOT NULL REFERENCES customers, exposure INTEGER NOT NULL, seq INTEGER NOT NULL,
    event_id TEXT NOT NULL, item INTEGER REFERENCES items, kind INTEGER NOT NULL, timestamp INTEGER,
    position INTEGER, quantity REAL NOT NULL, price REAL, currency TEXT, rating REAL, session_id TEXT,
    recommendation_id TEXT, context TEXT,
    PRIMARY KEY (customer, exposure, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX event_ids ON events (event_id);
CREATE INDEX undos ON events (customer, seq) WHERE kind = 15;
INSERT INTO meta VALUES ('last_seq', 2), ('catalog_version', 1),
    ('secret', x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
INSERT INTO customers (customer, customer_id) VALUES (1, 'ann');
INSERT INTO items (item, item_id, title, has_row) VALUES (1, '0042', 'A title', 1);
INSERT INTO events (customer, exposure, seq, event_id, item, kind, timestamp, quantity)
    VALUES (1, 0, 1, 'e1', 1, 5, 1000, 2.0), (1, 1, 2, 'e2', 1, 16, 2000, 1.0);
PRAGMA application_id = 0x424D5354;
PRAGMA user_version = 1;
COMMIT;
