"""The tables of the embedded store, version by version. What is released here is frozen: changes are new migrations."""

from __future__ import annotations

from recsys.data.events import EventKind

APPLICATION_ID = 0x424D5354
"""'BMST': marks a SQLite file as a store of this project."""

UNDO_CODE = EventKind.UNDO.code

RESPONSE_CODES = f"{EventKind.PURCHASE.code}, {EventKind.IMPRESSION.code}, {EventKind.CLICK.code}"
"""The kinds that tell what became of items that were shown."""

EVENT_IDS = "CREATE UNIQUE INDEX event_ids ON events (event_id)"
"""Not written as a constraint of the table, so that a first bulk load can build it after the rows, sorted."""

VERSION_1 = (
    # Single values: last_seq, catalog_version, secret.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    # Ids are text outside and integers inside; has_row says whether the shop told us more than the id.
    """
    CREATE TABLE customers (
        customer INTEGER PRIMARY KEY,
        customer_id TEXT NOT NULL UNIQUE,
        account_id TEXT,
        attributes TEXT,
        has_row INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE items (
        item INTEGER PRIMARY KEY,
        item_id TEXT NOT NULL UNIQUE,
        title TEXT,
        author TEXT,
        category TEXT,
        price REAL,
        currency TEXT,
        available INTEGER,
        published INTEGER,
        expires INTEGER,
        attributes TEXT,
        has_row INTEGER NOT NULL DEFAULT 0
    )
    """,
    # Clustered by customer: a history is one contiguous range, and its version is the last seq of that range.
    """
    CREATE TABLE events (
        customer INTEGER NOT NULL REFERENCES customers,
        exposure INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        item INTEGER REFERENCES items,
        kind INTEGER NOT NULL,
        timestamp INTEGER,
        position INTEGER,
        quantity REAL NOT NULL,
        price REAL,
        currency TEXT,
        rating REAL,
        session_id TEXT,
        recommendation_id TEXT,
        context TEXT,
        PRIMARY KEY (customer, exposure, seq)
    ) WITHOUT ROWID
    """,
    EVENT_IDS,
    # 15 is the code of `undo`, which never changes. Few customers have any, and each answer asks.
    "CREATE INDEX undos ON events (customer, seq) WHERE kind = 15",
    "INSERT INTO meta (key, value) VALUES ('last_seq', 0), ('catalog_version', 0)",
)

VERSION_2 = (
    # Each row makes a folder of closed events part of the history; details is what opening it takes, as JSON.
    """
    CREATE TABLE archive_partitions (
        folder TEXT PRIMARY KEY,
        first_seq INTEGER NOT NULL,
        details TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    # Changes with every change of the table, so that a reader asks for the table only then.
    "INSERT INTO meta (key, value) VALUES ('archive', '')",
)

VERSION_3 = (
    # Items: at which version of the catalogue a row changed, so that a reader fetches only what is new; and whether the
    # shop took it off, which is more than not to know it.
    "ALTER TABLE items ADD COLUMN changed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE items ADD COLUMN removed INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX items_changed ON items (changed) WHERE changed > 0",
    # A visitor who turned out to be a customer: their events stay where they are and are read as the customer's.
    "ALTER TABLE customers ADD COLUMN merged_into INTEGER REFERENCES customers",
    "CREATE INDEX customers_merged ON customers (merged_into) WHERE merged_into IS NOT NULL",
    # What a customer said about being served, and the version of it; a row only for those who said something.
    """
    CREATE TABLE profiles (
        customer INTEGER PRIMARY KEY REFERENCES customers,
        version INTEGER NOT NULL,
        recommendations INTEGER NOT NULL DEFAULT 1,
        merged INTEGER NOT NULL DEFAULT 0
    )
    """,
    # Every statement is kept: who gave a consent, when and where, has to be shown years later.
    """
    CREATE TABLE consents (
        customer INTEGER NOT NULL REFERENCES customers,
        purpose TEXT NOT NULL,
        seq INTEGER NOT NULL,
        granted INTEGER NOT NULL,
        source TEXT NOT NULL,
        stated INTEGER NOT NULL,
        PRIMARY KEY (customer, purpose, seq)
    ) WITHOUT ROWID
    """,
    # Keyed hashes of the ids of customers who asked to be forgotten: a later import must not bring them back.
    "CREATE TABLE forgotten (digest TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    # Numbers of forgotten customers whose closed events are still to be removed from the archive.
    "CREATE TABLE erasures (customer INTEGER PRIMARY KEY)",
    # A customer's history up to `version` in one piece; events after it are read from their table.
    """
    CREATE TABLE packed_histories (
        customer INTEGER PRIMARY KEY REFERENCES customers,
        version INTEGER NOT NULL,
        body BLOB NOT NULL
    )
    """,
    # last_customer: no number of a customer is given out again, whoever it belonged to.
    "INSERT INTO meta (key, value) VALUES ('forgotten', 0), ('last_customer', 0)",
)

VERSION_4 = (
    # API keys: never the key, only its SHA-256. No row is ever removed, so that what the audit names stays known.
    """
    CREATE TABLE api_keys (
        key_id TEXT PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        created INTEGER NOT NULL,
        origins TEXT NOT NULL,
        kinds TEXT NOT NULL,
        rate TEXT,
        expires INTEGER,
        revoked INTEGER
    ) WITHOUT ROWID
    """,
    # Changes with every change of a key, so that a reader asks for the keys only then.
    "INSERT INTO meta (key, value) VALUES ('keys', '')",
    # The audit: subjects is a JSON array. Lines are added, and nothing else.
    """
    CREATE TABLE audit (
        line INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        act TEXT NOT NULL,
        subjects TEXT NOT NULL,
        number INTEGER NOT NULL,
        result TEXT NOT NULL,
        request_id TEXT
    )
    """,
    """
    CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'lines of the audit are never changed'); END
    """,
    """
    CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'lines of the audit are never removed'); END
    """,
    # Exploration: what became of items that were shown is read from where the last reading ended. Nothing else is
    # indexed by arrival. The codes are 5, 16 and 17, which never change.
    f"CREATE INDEX responses ON events (seq, kind, item, timestamp) WHERE kind IN ({RESPONSE_CODES})",
    # Experiments: which arm a customer was served, the first time of each day in UTC. Clustered by customer, so that
    # all of one are removed together.
    """
    CREATE TABLE exposures (
        customer INTEGER NOT NULL REFERENCES customers,
        experiment TEXT NOT NULL,
        arm TEXT NOT NULL,
        day INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (customer, experiment, arm, day)
    ) WITHOUT ROWID
    """,
    # Experiments: how the answers of an arm were, for its guardrails; sums over all customers.
    """
    CREATE TABLE arm_answers (
        experiment TEXT NOT NULL,
        arm TEXT NOT NULL,
        day INTEGER NOT NULL,
        answers INTEGER NOT NULL,
        short INTEGER NOT NULL,
        seconds REAL NOT NULL,
        seconds_squared REAL NOT NULL,
        PRIMARY KEY (experiment, arm, day)
    ) WITHOUT ROWID
    """,
)

VERSION_5 = (
    # Customers: what follows from what each did, as a JSON object that says as of when. `round` tells those of the last
    # keeping from what is left of earlier ones.
    """
    CREATE TABLE customer_facts (
        customer INTEGER PRIMARY KEY REFERENCES customers,
        facts TEXT NOT NULL,
        round INTEGER NOT NULL
    )
    """,
    "INSERT INTO meta (key, value) VALUES ('customer_facts', ''), ('customer_facts_round', 0)",
    # Mailings: every customer of an audience in one row. `forgotten` counts rows that went with their customers, so
    # that the audience is still accounted for. Clustered by customer, so that all of one are removed together.
    """
    CREATE TABLE mailings (
        mailing INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        campaign TEXT NOT NULL,
        purpose TEXT NOT NULL,
        planned INTEGER NOT NULL,
        audience INTEGER NOT NULL,
        forgotten INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE mails (
        customer INTEGER NOT NULL REFERENCES customers,
        mailing INTEGER NOT NULL REFERENCES mailings,
        state INTEGER NOT NULL,
        reason TEXT NOT NULL,
        message_id TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        at INTEGER NOT NULL,
        content TEXT NOT NULL,
        PRIMARY KEY (customer, mailing)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX mails_of_mailing ON mails (mailing, state)",
    "CREATE INDEX mails_by_id ON mails (message_id) WHERE message_id <> ''",
    """
    CREATE TRIGGER mails_are_accounted_for AFTER DELETE ON mails
    BEGIN UPDATE mailings SET forgotten = forgotten + 1 WHERE mailing = OLD.mailing; END
    """,
    # Addresses that cannot be reached: keyed hashes, and whose they were.
    """
    CREATE TABLE undeliverable (
        customer INTEGER NOT NULL REFERENCES customers,
        digest TEXT NOT NULL,
        reply TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (customer, digest)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX undeliverable_addresses ON undeliverable (digest)",
)
