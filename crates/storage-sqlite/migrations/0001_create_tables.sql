-- The whole schema of version 1. Small integers stand for names inside, because they are in every row: names are
-- written once, in the tables that own them.

CREATE TABLE schema_migrations (
    -- What was applied, in order; user_version repeats the newest number for a look without SQL.
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    -- BLAKE3 of the statements, line ends folded: an edited migration is noticed.
    checksum BLOB NOT NULL CHECK (length(checksum) = 32),
    -- Milliseconds since 1970. For people only.
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE store_state (
    -- One row.
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Tells a store from its copy's elder: caches beside the store are bound to it.
    store_id TEXT NOT NULL CHECK (length(store_id) = 32),
    -- The readers' counter: the sum of the collections' generations.
    generation INTEGER NOT NULL CHECK (generation >= 0)
) STRICT;

INSERT INTO store_state (only_row, store_id, generation) VALUES (1, lower(hex(randomblob(16))), 0);

CREATE TABLE embedding_versions (
    -- Vector spaces.
    version_id INTEGER PRIMARY KEY,
    -- Digest of model and nonce, so that stores can be copied and merged.
    id TEXT NOT NULL UNIQUE,
    -- By which road the vectors came: provenance, not identity.
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    dimensions INTEGER NOT NULL CHECK (dimensions > 0),
    revision TEXT NOT NULL,
    query_prefix TEXT NOT NULL,
    passage_prefix TEXT NOT NULL,
    normaliser INTEGER NOT NULL,
    -- Empty, but for forced recomputes.
    nonce TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('building', 'ready', 'retired')),
    -- JSON: what was measured on this space, such as thresholds. NULL until someone measured.
    calibration TEXT,
    created_at INTEGER NOT NULL,
    -- Lets vectors refer to their version's length.
    UNIQUE (version_id, dimensions)
) STRICT;

CREATE TABLE canaries (
    -- Fixed texts with their vectors: they tell when a provider changed a model behind its name.
    version_id INTEGER NOT NULL REFERENCES embedding_versions (version_id),
    input_text TEXT NOT NULL,
    embedding BLOB NOT NULL CHECK (length(embedding) > 0 AND length(embedding) % 4 = 0),
    PRIMARY KEY (version_id, input_text)
) STRICT;

CREATE TABLE collections (
    collection_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The pointer that a promotion or a rollback flips.
    active_version_id INTEGER REFERENCES embedding_versions (version_id),
    previous_version_id INTEGER REFERENCES embedding_versions (version_id),
    -- Which fields become the embedded text, as written.
    recipe TEXT NOT NULL,
    -- The writers' counter.
    generation INTEGER NOT NULL CHECK (generation >= 0),
    -- Least score of an answer, where one was set.
    threshold REAL,
    -- What the last change left: status reads these, validate compares them with the rows.
    record_count INTEGER NOT NULL CHECK (record_count >= 0),
    document_count INTEGER NOT NULL CHECK (document_count >= 0)
) STRICT;

CREATE TABLE category_counts (
    -- Rows per category, as the last change left them. One row with a NULL category counts rows without one.
    collection_id INTEGER NOT NULL REFERENCES collections (collection_id),
    category TEXT,
    record_count INTEGER NOT NULL CHECK (record_count > 0),
    UNIQUE (collection_id, category)
) STRICT;

CREATE TABLE sources (
    -- Where rows come from: the scope of a sync.
    source_id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (collection_id),
    id TEXT NOT NULL,
    -- NULL for a source that owns rows and was never described.
    kind TEXT,
    -- Never holds a secret.
    location TEXT,
    UNIQUE (collection_id, id),
    CHECK ((kind IS NULL) = (location IS NULL))
) STRICT;

CREATE TABLE runs (
    -- The ledger of what was done and paid. Collection, source and version are names, not references: a run may fail
    -- before any of them exists.
    run_id INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- NULL for a run that wrote rows or vectors and was never recorded.
    kind TEXT CHECK (kind IN ('sync', 'recompute', 'import')),
    collection TEXT,
    source TEXT,
    version TEXT,
    state TEXT CHECK (state IN ('started', 'finished', 'failed')),
    requests INTEGER NOT NULL DEFAULT 0,
    texts INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    finished_at INTEGER,
    CHECK ((kind IS NULL) = (state IS NULL) AND (kind IS NULL) = (collection IS NULL)
        AND (kind IS NULL) = (started_at IS NULL))
) STRICT;

CREATE INDEX runs_by_collection ON runs (collection, started_at);

CREATE TABLE embedding_vectors (
    -- Vectors by content, invisible until record_inputs refers to them. A rowid table of its own, with the vector as
    -- the last column: the page size is chosen so that such rows fill their pages.
    vector_id INTEGER PRIMARY KEY,
    version_id INTEGER NOT NULL,
    -- Repeats the version's, so that the database itself refuses a vector of another length.
    dimensions INTEGER NOT NULL,
    -- BLAKE3 of the embedded text.
    input_hash BLOB NOT NULL CHECK (length(input_hash) = 32),
    -- Empty for a vector that we computed, BLAKE3 of the vector for an imported one.
    variant BLOB NOT NULL CHECK (length(variant) IN (0, 32)),
    -- BLAKE3 of the vector's bytes: SQLite has no page checksums, so validate needs it to see a flipped bit.
    checksum BLOB NOT NULL CHECK (length(checksum) = 32),
    -- A 64-bit checksum of the same bytes, cheap enough for every load.
    guard INTEGER NOT NULL,
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    created_at INTEGER NOT NULL,
    -- Little-endian f32.
    embedding BLOB NOT NULL CHECK (length(embedding) = 4 * dimensions),
    UNIQUE (version_id, input_hash, variant),
    FOREIGN KEY (version_id, dimensions) REFERENCES embedding_versions (version_id, dimensions)
) STRICT;

CREATE TABLE embedding_records (
    -- Rows as readers see them: one row a chunk, and a FAQ entry is one chunk.
    record_id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (collection_id),
    source_id INTEGER NOT NULL REFERENCES sources (source_id),
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- BLAKE3 of every field a reader sees, key, source and place left out.
    record_hash BLOB NOT NULL CHECK (length(record_hash) = 32),
    -- A 64-bit checksum of what the hash leaves out: key, source and place.
    place_guard INTEGER NOT NULL,
    document TEXT NOT NULL,
    chunk INTEGER NOT NULL CHECK (chunk BETWEEN 0 AND 4294967295),
    -- Where the source holds it, for citation. Short columns come before the texts, so that planning a sync reads
    -- no further than here.
    locator_sheet TEXT,
    locator_row INTEGER,
    locator_page INTEGER,
    locator_start INTEGER,
    locator_end INTEGER,
    category TEXT,
    subcategory TEXT,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    -- A JSON object with sorted keys.
    metadata TEXT NOT NULL,
    UNIQUE (collection_id, document, chunk),
    CHECK ((locator_start IS NULL) = (locator_end IS NULL))
) STRICT;

CREATE TABLE record_inputs (
    -- Which vector a row has in which version.
    record_id INTEGER NOT NULL REFERENCES embedding_records (record_id) ON DELETE CASCADE,
    version_id INTEGER NOT NULL REFERENCES embedding_versions (version_id),
    vector_id INTEGER NOT NULL REFERENCES embedding_vectors (vector_id),
    -- The vector's name once more: planning a sync asks for every row's, and must not read the vectors for it.
    input_hash BLOB NOT NULL CHECK (length(input_hash) = 32),
    variant BLOB NOT NULL CHECK (length(variant) IN (0, 32)),
    PRIMARY KEY (record_id, version_id)
) STRICT, WITHOUT ROWID;

-- Pruning asks which vectors nobody refers to, and so does the foreign key whenever a vector is deleted.
CREATE INDEX record_inputs_by_vector ON record_inputs (vector_id);

CREATE TABLE run_undo (
    -- What an import replaced, so that it can be undone.
    run_id INTEGER NOT NULL REFERENCES runs (run_id),
    collection_id INTEGER NOT NULL REFERENCES collections (collection_id),
    document TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    -- JSON of the row and the names of its vectors; NULL where the import created the row.
    replaced TEXT,
    PRIMARY KEY (run_id, collection_id, document, chunk)
) STRICT, WITHOUT ROWID;
