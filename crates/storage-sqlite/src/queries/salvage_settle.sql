-- Everything that follows from the rows. The generations rise, so that whoever planned or cached notices.
UPDATE collections SET generation = generation + 1,
    record_count = (SELECT count(*) FROM embedding_records AS r WHERE r.collection_id = collections.collection_id),
    document_count = (SELECT count(DISTINCT r.document) FROM embedding_records AS r
        WHERE r.collection_id = collections.collection_id);
INSERT INTO category_counts (collection_id, category, record_count)
    SELECT collection_id, category, count(*) FROM embedding_records GROUP BY collection_id, category;
UPDATE collection_versions SET
    record_count = (SELECT count(*) FROM record_inputs AS i WHERE i.version_id = collection_versions.version_id);
UPDATE collection_versions SET state = 'ready'
    WHERE version_id IN (SELECT active_version_id FROM collections);
UPDATE store_state SET generation = (SELECT coalesce(sum(generation), 0) FROM collections) WHERE only_row = 1;
