-- For people who speak SQL: the collections' served rows as a view, search, writing and figures as functions. All of it
-- reads the tables of version 1 and nothing else. Every function fixes the search path that this migration ran with:
-- the schema may be any, and pgvector may live in yet another.

CREATE TABLE vector_indexes (
    -- How the index of a space was built, and which search settings reached which recall when somebody measured.
    space_id bigint PRIMARY KEY REFERENCES embedding_spaces (space_id) ON DELETE CASCADE,
    name text NOT NULL,
    m integer NOT NULL,
    ef_construction integer NOT NULL,
    built_at bigint NOT NULL,
    -- NULL until they were measured.
    ef_search integer,
    max_scan_tuples integer,
    -- JSON of the measurement.
    tuning text
);

CREATE VIEW embeddings AS
SELECT
    CASE WHEN r.chunk = 0 THEN r.document ELSE r.document || '#' || r.chunk END AS id,
    CASE WHEN r.title = '' THEN r.body WHEN r.body = '' THEN r.title ELSE r.title || E'\n' || r.body END AS content,
    -- A key of its own comes before the column of the same name, as in filters.
    jsonb_strip_nulls(jsonb_build_object('category', r.category, 'subcategory', r.subcategory)) || r.metadata::jsonb
        AS metadata,
    v.embedding,
    to_timestamp(r.created_at / 1000.0) AS created_at,
    to_timestamp(r.updated_at / 1000.0) AS updated_at,
    c.name AS collection,
    s.id AS source,
    r.document,
    r.chunk,
    r.title,
    r.body,
    r.category,
    r.subcategory,
    -- Whether the row has been checked and hashed since it was written.
    r.record_hash IS NOT NULL AS adopted
FROM embedding_records r
    JOIN collections c USING (collection_id)
    JOIN sources s ON s.source_id = r.source_id
    LEFT JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
    LEFT JOIN embedding_vectors v ON v.vector_id = i.vector_id;

COMMENT ON VIEW embeddings IS
    'Rows with their vector in the version that their collection serves. Ordering it by <=> reads every row; search_embeddings() can use the index.';

-- The collection's active version, or an error that says what to do.
CREATE FUNCTION served_version(
    collection text,
    OUT collection_id bigint, OUT version_id bigint, OUT space_id bigint, OUT dimensions integer, OUT recipe text,
    OUT record_count bigint
) LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
    SELECT c.collection_id, c.active_version_id, v.space_id, s.dimensions, v.recipe, v.record_count
        INTO collection_id, version_id, space_id, dimensions, recipe, record_count
        FROM collections c
            LEFT JOIN collection_versions v ON v.version_id = c.active_version_id
            LEFT JOIN embedding_spaces s ON s.space_id = v.space_id
        WHERE c.name = served_version.collection;
    IF collection_id IS NULL THEN
        RAISE EXCEPTION 'there is no collection "%"', collection
            USING ERRCODE = 'undefined_object',
            HINT = coalesce('collections of this store: ' || (SELECT string_agg(name, ', ' ORDER BY name) FROM collections),
                'the store is empty; fill it with: smart-support migrate');
    ELSIF version_id IS NULL THEN
        RAISE EXCEPTION 'collection "%" serves no version yet', collection
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'its first sync decides the model; run: smart-support migrate';
    END IF;
END $$;

-- The row that a view's id stands for; NULL if there is none.
CREATE FUNCTION record_of(collection_id bigint, id text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT coalesce(
        (SELECT r.record_id FROM embedding_records r
            WHERE r.collection_id = record_of.collection_id AND r.document = record_of.id AND r.chunk = 0),
        (SELECT r.record_id FROM regexp_match(record_of.id, '^(.*)#([1-9][0-9]{0,9})$') part, embedding_records r
            WHERE r.collection_id = record_of.collection_id AND r.document = part[1] AND r.chunk = part[2]::bigint))
$$;

-- Neither STABLE functions nor parallel plans may change settings, so this one and those that call it are VOLATILE.
CREATE FUNCTION search_embeddings(
    query_embedding vector,
    match_count integer DEFAULT 10,
    collection text DEFAULT 'faq',
    filter jsonb DEFAULT '{}',
    min_similarity double precision DEFAULT NULL
) RETURNS TABLE (id text, content text, metadata jsonb, similarity double precision)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path FROM CURRENT AS $$
DECLARE
    served record;
    -- Loads pgvector's library, if nothing has: its settings are unknown before.
    asked integer := vector_dims(query_embedding);
    scan text;
    effort text;
    tuples text;
    tuned vector_indexes;
    found bigint[];
    statement text := 'SELECT ARRAY(SELECT r.record_id FROM embedding_vectors v'
        ' JOIN record_inputs i ON i.vector_id = v.vector_id AND i.version_id = %1$s'
        ' JOIN embedding_records r ON r.record_id = i.record_id'
        ' WHERE v.space_id = %2$s AND ($2 = ''{}'' OR'
        ' jsonb_strip_nulls(jsonb_build_object(''category'', r.category, ''subcategory'', r.subcategory))'
        ' || r.metadata::jsonb @> $2)'
        ' ORDER BY %3$s LIMIT $3)';
BEGIN
    IF query_embedding IS NULL OR filter IS NULL THEN
        RAISE EXCEPTION 'search_embeddings needs a vector and a filter; an empty filter is ''{}'''
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(filter) <> 'object' THEN
        RAISE EXCEPTION 'the filter must be a JSON object, such as {"category": "Cards"}, not %', filter
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF match_count IS NULL OR match_count NOT BETWEEN 0 AND 100000 THEN
        RAISE EXCEPTION 'match_count must be from 0 to 100000, not %', match_count
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    served := served_version(collection);
    IF asked <> served.dimensions THEN
        RAISE EXCEPTION 'embedding dimension mismatch: collection "%" has %, the question %',
            collection, served.dimensions, asked
            USING ERRCODE = 'data_exception',
            HINT = 'embed the question with the model that the collection serves; embedding_stats names it';
    END IF;
    scan := current_setting('hnsw.iterative_scan', true);
    SELECT * INTO tuned FROM vector_indexes x WHERE x.space_id = served.space_id;
    -- Without an index nothing is gained by comparing in its way, which above 2,000 dimensions is half as precise. An older
    -- pgvector filters what its index has found, and returns too few.
    IF scan IS NOT NULL AND tuned.space_id IS NOT NULL THEN
        effort := current_setting('hnsw.ef_search');
        tuples := current_setting('hnsw.max_scan_tuples');
        PERFORM set_config('hnsw.iterative_scan', 'strict_order', true),
            set_config('hnsw.ef_search', coalesce(tuned.ef_search, greatest(least(match_count, 1000), 40))::text, true),
            set_config('hnsw.max_scan_tuples', coalesce(tuned.max_scan_tuples::text, tuples), true);
        -- Version, space and length are written out: a partial index is used for constants only.
        EXECUTE format(statement, served.version_id, served.space_id, format('v.embedding::%1$s(%2$s) <=> $1::%1$s(%2$s)',
                CASE WHEN served.dimensions <= 2000 THEN 'vector' ELSE 'halfvec' END, served.dimensions))
            INTO found USING query_embedding, filter, match_count;
        PERFORM set_config('hnsw.iterative_scan', scan, true), set_config('hnsw.ef_search', effort, true),
            set_config('hnsw.max_scan_tuples', tuples, true);
    END IF;
    IF found IS NULL OR cardinality(found) < least(match_count, served.record_count) THEN
        EXECUTE format(statement, served.version_id, served.space_id, 'v.embedding <=> $1, r.document, r.chunk')
            INTO found USING query_embedding, filter, match_count;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT * FROM (SELECT'
        ' CASE WHEN r.chunk = 0 THEN r.document ELSE r.document || ''#'' || r.chunk END,'
        ' CASE WHEN r.title = '''' THEN r.body WHEN r.body = '''' THEN r.title ELSE r.title || E''\n'' || r.body END,'
        ' jsonb_strip_nulls(jsonb_build_object(''category'', r.category, ''subcategory'', r.subcategory)) || r.metadata::jsonb,'
        ' 1 - (v.embedding <=> $1) AS similarity'
        ' FROM embedding_records r JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = $2'
        ' JOIN embedding_vectors v ON v.vector_id = i.vector_id'
        ' WHERE r.record_id = ANY ($3) ORDER BY v.embedding <=> $1, r.document, r.chunk) nearest'
        ' WHERE $4 IS NULL OR similarity >= $4'
        USING query_embedding, served.version_id, found, min_similarity;
END $$;

COMMENT ON FUNCTION search_embeddings IS
    'Nearest rows of a collection by cosine, best first. The filter is contained in the metadata: {"category": "Cards"}.';

-- Counts rows of a category up or down.
CREATE FUNCTION change_category_count(collection_id bigint, category text, change integer) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM category_counts k WHERE k.collection_id = change_category_count.collection_id
        AND k.category IS NOT DISTINCT FROM change_category_count.category AND k.record_count + change = 0;
    IF FOUND OR change = 0 THEN
        RETURN;
    END IF;
    UPDATE category_counts k SET record_count = k.record_count + change
        WHERE k.collection_id = change_category_count.collection_id
        AND k.category IS NOT DISTINCT FROM change_category_count.category;
    IF NOT FOUND THEN
        INSERT INTO category_counts (collection_id, category, record_count) VALUES (collection_id, category, change);
    END IF;
END $$;

-- Takes a row's vectors of all versions away: they may be of an older text.
CREATE FUNCTION unbind_record(record_id bigint) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM record_inputs i WHERE i.record_id = unbind_record.record_id RETURNING i.version_id)
    UPDATE collection_versions v SET record_count = v.record_count - 1 FROM gone WHERE v.version_id = gone.version_id
$$;

-- Counts a change: writers and readers see by the generations that there was one.
CREATE FUNCTION raise_generations(collection_id bigint, records integer, documents integer) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    raised bigint;
BEGIN
    UPDATE collections c SET generation = c.generation + 1, record_count = c.record_count + records,
        document_count = c.document_count + documents WHERE c.collection_id = raise_generations.collection_id;
    UPDATE store_state SET generation = generation + 1 RETURNING generation INTO raised;
    PERFORM pg_notify('smart_support', current_schema() || ' ' || raised);
END $$;

CREATE FUNCTION upsert_embedding(
    id text,
    content text,
    metadata jsonb,
    embedding vector,
    collection text DEFAULT 'faq'
) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path FROM CURRENT AS $$
DECLARE
    served record;
    plain jsonb;
    numbers integer := vector_dims(embedding);
    moment bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    own_source bigint;
    own_run bigint;
    own_record bigint;
    own_vector bigint;
    old record;
    other text;
    hash bytea := sha256(convert_to(content, 'UTF8'));
    twin bytea := sha256(vector_send(embedding));
    new_title text := '';
    new_body text := content;
    new_category text;
    new_subcategory text;
    new_metadata json;
    fresh integer := 0;
BEGIN
    IF id IS NULL OR id = '' OR content IS NULL OR embedding IS NULL THEN
        RAISE EXCEPTION 'upsert_embedding needs an id, a content and an embedding'
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF content !~ '\S' THEN
        RAISE EXCEPTION 'the content of "%" is empty', id USING ERRCODE = 'invalid_parameter_value';
    ELSIF octet_length(content) + coalesce(octet_length(metadata::text), 0) > 32 * 1024 * 1024 THEN
        RAISE EXCEPTION 'content and metadata of "%" are larger than 32 MiB', id USING ERRCODE = 'program_limit_exceeded';
    ELSIF vector_norm(embedding) NOT BETWEEN 1e-6 AND 1e6 THEN
        RAISE EXCEPTION 'the embedding of "%" has length %, which no angle can be measured with', id, vector_norm(embedding)
            USING ERRCODE = 'data_exception';
    END IF;
    -- What a row cannot hold is refused here, where whoever wrote it can still see it; a null is an absent key.
    IF jsonb_typeof(metadata) NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'the metadata of "%" must be a JSON object, not %', id, jsonb_typeof(metadata)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT coalesce(jsonb_object_agg(part.key, part.value), '{}') INTO plain
        FROM jsonb_each(CASE jsonb_typeof(metadata) WHEN 'object' THEN metadata ELSE '{}' END) part
        WHERE part.value <> 'null';
    SELECT part.key INTO other FROM jsonb_each(plain) part
        WHERE jsonb_path_exists(part.value, 'strict $.** ? (@.type() == "object" || @.type() == "null")')
            OR jsonb_path_exists(part.value, 'strict $.**{64 to last} ? (@.type() == "array")')
            OR jsonb_path_exists(part.value, 'strict $.** ? (@.type() == "number"
                && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))')
        LIMIT 1;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'the metadata of "%" holds no plain value under "%"', id, other
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'texts, finite numbers, booleans and lists of them can be kept and filtered by; flatten objects';
    END IF;

    -- The lock of every writer: generations count up without a gap, counts stay right.
    PERFORM 1 FROM store_state FOR UPDATE;
    served := served_version(collection);
    IF numbers <> served.dimensions THEN
        RAISE EXCEPTION 'embedding dimension mismatch: collection "%" has %, the embedding of "%" %',
            collection, served.dimensions, id, numbers
            USING ERRCODE = 'data_exception',
            HINT = 'embed with the model that the collection serves; embedding_stats names it';
    END IF;
    INSERT INTO sources (collection_id, id) VALUES (served.collection_id, 'sql') ON CONFLICT DO NOTHING;
    SELECT s.source_id INTO own_source FROM sources s WHERE s.collection_id = served.collection_id AND s.id = 'sql';
    INSERT INTO runs (id) VALUES ('sql') ON CONFLICT DO NOTHING;
    SELECT r.run_id INTO own_run FROM runs r WHERE r.id = 'sql';

    own_record := record_of(served.collection_id, upsert_embedding.id);
    SELECT s.id INTO other FROM embedding_records r JOIN sources s ON s.source_id = r.source_id
        WHERE r.collection_id = served.collection_id AND r.source_id <> own_source
            AND (r.record_id = own_record OR r.document = upsert_embedding.id)
        LIMIT 1;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'row "%" of collection "%" belongs to source "%"', id, collection, other
            USING ERRCODE = 'object_in_use',
            HINT = 'its next sync would undo the change; edit it there, or write under another id';
    END IF;

    -- The text goes where the recipe looks for it.
    IF served.recipe ~ '\{\s*(question|title)\s*\}' AND served.recipe !~ '\{\s*(answer|body)\s*\}' THEN
        new_title := content;
        new_body := '';
    END IF;
    IF jsonb_typeof(plain -> 'category') = 'string' THEN
        new_category := plain ->> 'category';
        plain := plain - 'category';
    END IF;
    IF jsonb_typeof(plain -> 'subcategory') = 'string' THEN
        new_subcategory := plain ->> 'subcategory';
        plain := plain - 'subcategory';
    END IF;
    SELECT coalesce(json_object_agg(part.key, part.value ORDER BY part.key COLLATE "C"), '{}') INTO new_metadata
        FROM jsonb_each(plain) part;

    INSERT INTO embedding_vectors (space_id, input_hash, variant, run_id, created_at, embedding)
        VALUES (served.space_id, hash, twin, own_run, moment, upsert_embedding.embedding) ON CONFLICT DO NOTHING;
    SELECT v.vector_id INTO own_vector FROM embedding_vectors v
        WHERE v.space_id = served.space_id AND v.input_hash = hash AND v.variant = twin;

    IF own_record IS NULL THEN
        fresh := 1;
        INSERT INTO embedding_records (collection_id, source_id, run_id, created_at, updated_at, document, chunk,
                category, subcategory, title, body, metadata)
            VALUES (served.collection_id, own_source, own_run, moment, moment, upsert_embedding.id, 0,
                new_category, new_subcategory, new_title, new_body, new_metadata)
            RETURNING record_id INTO own_record;
    ELSE
        SELECT r.category INTO old FROM embedding_records r WHERE r.record_id = own_record;
        PERFORM unbind_record(own_record), change_category_count(served.collection_id, old.category, -1);
        UPDATE embedding_records r SET run_id = own_run, updated_at = moment, record_hash = NULL, place_guard = NULL,
            category = new_category, subcategory = new_subcategory, title = new_title, body = new_body,
            metadata = new_metadata
            WHERE r.record_id = own_record;
    END IF;
    INSERT INTO record_inputs (record_id, version_id, space_id, vector_id, input_hash, variant)
        VALUES (own_record, served.version_id, served.space_id, own_vector, hash, twin);
    UPDATE collection_versions v SET record_count = v.record_count + 1 WHERE v.version_id = served.version_id;
    PERFORM change_category_count(served.collection_id, new_category, 1),
        raise_generations(served.collection_id, fresh, fresh);
    RETURN id;
END $$;

COMMENT ON FUNCTION upsert_embedding IS
    'Writes a row of source "sql" with its vector in the version that the collection serves. No sync of another source touches it.';

CREATE FUNCTION delete_embedding(id text, collection text DEFAULT 'faq') RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path FROM CURRENT AS $$
DECLARE
    served record;
    old record;
    others integer;
BEGIN
    PERFORM 1 FROM store_state FOR UPDATE;
    served := served_version(collection);
    SELECT r.record_id, r.document, r.category, s.id AS source INTO old
        FROM embedding_records r JOIN sources s ON s.source_id = r.source_id
        WHERE r.record_id = record_of(served.collection_id, delete_embedding.id);
    IF NOT FOUND THEN
        RETURN false;
    ELSIF old.source <> 'sql' THEN
        RAISE EXCEPTION 'row "%" of collection "%" belongs to source "%"', id, collection, old.source
            USING ERRCODE = 'object_in_use',
            HINT = 'its next sync would bring it back; delete it there';
    END IF;
    PERFORM unbind_record(old.record_id), change_category_count(served.collection_id, old.category, -1);
    DELETE FROM embedding_records r WHERE r.record_id = old.record_id;
    SELECT count(*) INTO others FROM embedding_records r
        WHERE r.collection_id = served.collection_id AND r.document = old.document;
    PERFORM raise_generations(served.collection_id, -1, CASE WHEN others = 0 THEN -1 ELSE 0 END);
    RETURN true;
END $$;

COMMENT ON FUNCTION delete_embedding IS 'Deletes a row of source "sql"; says whether there was one.';

-- The one row of that id with its served vector. Two collections with the id are an error that names them.
CREATE FUNCTION served_vector(
    id text, within text,
    OUT collection text, OUT record_id bigint, OUT space_id bigint, OUT embedding vector
) LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    holders text[];
BEGIN
    SELECT array_agg(c.name ORDER BY c.name) INTO holders FROM collections c
        WHERE (within IS NULL OR c.name = within) AND record_of(c.collection_id, served_vector.id) IS NOT NULL;
    IF holders IS NULL THEN
        RAISE EXCEPTION 'there is no row "%"%', id, coalesce(' in collection "' || within || '"', '')
            USING ERRCODE = 'no_data_found';
    ELSIF cardinality(holders) > 1 THEN
        RAISE EXCEPTION 'several collections have a row "%": %', id, array_to_string(holders, ', ')
            USING ERRCODE = 'ambiguous_parameter', HINT = 'name the one you mean: collection => ''…''';
    END IF;
    collection := holders[1];
    SELECT r.record_id, i.space_id, v.embedding INTO record_id, space_id, embedding
        FROM collections c
            JOIN embedding_records r ON r.record_id = record_of(c.collection_id, served_vector.id)
            LEFT JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
            LEFT JOIN embedding_vectors v ON v.vector_id = i.vector_id
        WHERE c.name = holders[1];
    IF embedding IS NULL THEN
        RAISE EXCEPTION 'row "%" of collection "%" has no vector in the version that is served', id, collection
            USING ERRCODE = 'no_data_found', HINT = 'smart-support validate says why';
    END IF;
END $$;

CREATE FUNCTION find_similar_products(
    product_id text,
    match_count integer DEFAULT 10,
    min_similarity double precision DEFAULT NULL,
    collection text DEFAULT NULL,
    filter jsonb DEFAULT '{}'
) RETURNS TABLE (id text, content text, metadata jsonb, similarity double precision)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path FROM CURRENT AS $$
DECLARE
    own record;
BEGIN
    own := served_vector(product_id, collection);
    -- One more, as the nearest is the row itself; the id of a view is not always the one that was asked with.
    RETURN QUERY SELECT n.id, n.content, n.metadata, n.similarity
        FROM search_embeddings(own.embedding, match_count + 1, own.collection, filter, min_similarity)
            WITH ORDINALITY AS n (id, content, metadata, similarity, place)
        WHERE n.id <> product_id ORDER BY n.place LIMIT match_count;
END $$;

-- With its arguments: a store beside this one, in a schema that is on the path, has both of them already.
COMMENT ON FUNCTION find_similar_products(text, integer, double precision, text, jsonb) IS
    'The rows nearest to a stored one, in its own collection, itself left out.';

CREATE FUNCTION product_similarity(a text, b text, collection text DEFAULT NULL) RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    one record := served_vector(a, collection);
    two record := served_vector(b, collection);
BEGIN
    IF one.space_id <> two.space_id THEN
        RAISE EXCEPTION '"%" and "%" are served by different models: their vectors cannot be compared', a, b
            USING ERRCODE = 'data_exception';
    END IF;
    RETURN 1 - (one.embedding <=> two.embedding);
END $$;

COMMENT ON FUNCTION product_similarity(text, text, text) IS 'The cosine of two stored rows'' vectors.';

CREATE FUNCTION find_similar_products(
    product_id uuid,
    match_count integer DEFAULT 10,
    min_similarity double precision DEFAULT NULL,
    collection text DEFAULT NULL,
    filter jsonb DEFAULT '{}'
) RETURNS TABLE (id text, content text, metadata jsonb, similarity double precision)
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path FROM CURRENT AS $$
    SELECT * FROM find_similar_products(product_id::text, match_count, min_similarity, collection, filter)
$$;

CREATE FUNCTION product_similarity(a uuid, b uuid, collection text DEFAULT NULL) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT product_similarity(a::text, b::text, collection)
$$;

CREATE VIEW embedding_stats AS
SELECT
    c.name AS collection,
    c.generation,
    s.name AS model,
    s.provider,
    s.dimensions,
    count(r.record_id) AS records,
    count(DISTINCT r.document) AS documents,
    count(i.record_id) AS with_embedding,
    count(r.record_id) - count(i.record_id) AS missing_embedding,
    round(100.0 * count(i.record_id) / nullif(count(r.record_id), 0), 1) AS coverage_percent,
    count(r.record_id) FILTER (WHERE r.record_hash IS NULL) AS unadopted,
    to_timestamp(min(r.updated_at) / 1000.0) AS oldest_update,
    to_timestamp(max(r.updated_at) / 1000.0) AS newest_update
FROM collections c
    LEFT JOIN collection_versions n ON n.version_id = c.active_version_id
    LEFT JOIN embedding_spaces s ON s.space_id = n.space_id
    LEFT JOIN embedding_records r ON r.collection_id = c.collection_id
    LEFT JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
GROUP BY c.collection_id, s.space_id;

COMMENT ON VIEW embedding_stats IS 'Coverage and freshness by collection, counted now.';

CREATE VIEW product_embedding_stats AS
SELECT
    c.name AS collection,
    r.category,
    count(*) AS total_products,
    count(i.record_id) AS with_embeddings,
    count(*) - count(i.record_id) AS missing_embeddings,
    round(100.0 * count(i.record_id) / count(*), 1) AS coverage_percent,
    count(*) FILTER (WHERE r.record_hash IS NULL) AS unadopted,
    to_timestamp(min(r.updated_at) / 1000.0) AS oldest_update,
    to_timestamp(max(r.updated_at) / 1000.0) AS newest_update
FROM embedding_records r
    JOIN collections c USING (collection_id)
    LEFT JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
GROUP BY c.collection_id, r.category;

COMMENT ON VIEW product_embedding_stats IS 'Coverage and freshness by collection and category, counted now.';

-- What adoption looks for, beside the rows themselves.
CREATE INDEX embedding_vectors_unadopted ON embedding_vectors (vector_id) WHERE checksum IS NULL;
