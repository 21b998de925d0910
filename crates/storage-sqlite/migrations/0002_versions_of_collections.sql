-- A collection can have several versions of its rows beside each other: a vector space, and the recipe of the texts
-- in it. Until now a version was a space, and a collection had one recipe.

ALTER TABLE embedding_versions RENAME TO embedding_spaces;
ALTER TABLE embedding_spaces RENAME COLUMN version_id TO space_id;
ALTER TABLE embedding_vectors RENAME COLUMN version_id TO space_id;
ALTER TABLE canaries RENAME COLUMN version_id TO space_id;

CREATE TABLE collection_versions (
    -- How each row of a collection gets its vector. Its name is a digest of space and recipe, so it is not stored.
    version_id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (collection_id),
    space_id INTEGER NOT NULL REFERENCES embedding_spaces (space_id),
    -- Which fields become the embedded text, as written.
    recipe TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('building', 'ready', 'retired')),
    -- Rows that have a vector in it, as the last change left them: moving the pointer looks at this and at no row.
    record_count INTEGER NOT NULL CHECK (record_count >= 0),
    -- JSON: which scores count as an answer. NULL until someone measured.
    calibration TEXT,
    -- JSON: how it did on questions with known answers. NULL until someone asked.
    evaluation TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (collection_id, space_id, recipe)
) STRICT;

INSERT INTO collection_versions (collection_id, space_id, recipe, state, record_count, created_at)
SELECT c.collection_id, s.space_id, c.recipe,
    CASE
        WHEN s.space_id IN (c.active_version_id, c.previous_version_id) THEN 'ready'
        WHEN s.state = 'building' THEN 'building'
        ELSE 'retired'
    END,
    -- As many as are carried over below.
    (SELECT count(*) FROM record_inputs AS i
        JOIN embedding_records AS r ON r.record_id = i.record_id
        JOIN embedding_vectors AS e ON e.vector_id = i.vector_id
        WHERE i.version_id = s.space_id AND r.collection_id = c.collection_id),
    s.created_at
FROM collections AS c
JOIN embedding_spaces AS s ON s.space_id IN (c.active_version_id, c.previous_version_id)
    OR EXISTS (SELECT 1 FROM record_inputs AS i JOIN embedding_records AS r ON r.record_id = i.record_id
        WHERE i.version_id = s.space_id AND r.collection_id = c.collection_id);

CREATE TABLE record_inputs_new (
    -- Which vector a row has in which version.
    record_id INTEGER NOT NULL REFERENCES embedding_records (record_id) ON DELETE CASCADE,
    version_id INTEGER NOT NULL REFERENCES collection_versions (version_id),
    -- The vector's name once more, its space included: planning a sync asks for every row's, and must not read the
    -- vectors for it.
    space_id INTEGER NOT NULL REFERENCES embedding_spaces (space_id),
    vector_id INTEGER NOT NULL REFERENCES embedding_vectors (vector_id),
    input_hash BLOB NOT NULL CHECK (length(input_hash) = 32),
    variant BLOB NOT NULL CHECK (length(variant) IN (0, 32)),
    PRIMARY KEY (record_id, version_id)
) STRICT, WITHOUT ROWID;

-- A row whose vector is lost is carried over without one: damage is named and mended where the schema is known.
INSERT INTO record_inputs_new (record_id, version_id, space_id, vector_id, input_hash, variant)
SELECT i.record_id, v.version_id, i.version_id, i.vector_id, i.input_hash, i.variant
FROM record_inputs AS i
JOIN embedding_records AS r ON r.record_id = i.record_id
JOIN embedding_vectors AS e ON e.vector_id = i.vector_id
JOIN collection_versions AS v ON v.collection_id = r.collection_id AND v.space_id = i.version_id;

DROP TABLE record_inputs;
ALTER TABLE record_inputs_new RENAME TO record_inputs;

-- Pruning asks which vectors nobody refers to, and so does the foreign key whenever a vector is deleted.
CREATE INDEX record_inputs_by_vector ON record_inputs (vector_id);

-- The pointers that a promotion or a rollback flips.
ALTER TABLE collections RENAME COLUMN active_version_id TO active_space_id;
ALTER TABLE collections RENAME COLUMN previous_version_id TO previous_space_id;
ALTER TABLE collections ADD COLUMN active_version_id INTEGER REFERENCES collection_versions (version_id);
ALTER TABLE collections ADD COLUMN previous_version_id INTEGER REFERENCES collection_versions (version_id);
UPDATE collections SET
    active_version_id = (SELECT v.version_id FROM collection_versions AS v
        WHERE v.collection_id = collections.collection_id AND v.space_id = active_space_id),
    previous_version_id = (SELECT v.version_id FROM collection_versions AS v
        WHERE v.collection_id = collections.collection_id AND v.space_id = previous_space_id);
ALTER TABLE collections DROP COLUMN active_space_id;
ALTER TABLE collections DROP COLUMN previous_space_id;
ALTER TABLE collections DROP COLUMN recipe;
-- A threshold belongs to the scores of one version, and so to its calibration.
ALTER TABLE collections DROP COLUMN threshold;
ALTER TABLE embedding_spaces DROP COLUMN state;
ALTER TABLE embedding_spaces DROP COLUMN calibration;
-- When the provider was last seen to give the canaries the vectors that are kept.
ALTER TABLE embedding_spaces ADD COLUMN canaries_checked_at INTEGER;
UPDATE embedding_spaces SET canaries_checked_at = NULL;
