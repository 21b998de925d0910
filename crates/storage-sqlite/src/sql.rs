//! Every statement of this crate, by name.

macro_rules! queries {
    ($($name:ident = $file:literal;)+) => {
        $(pub(crate) const $name: &str = include_str!(concat!("queries/", $file, ".sql"));)+
    };
}

queries! {
    ACTIVATE = "activate";
    ADD_CATEGORY = "add_category";
    ADD_SPEND = "add_spend";
    APPLIED_MIGRATIONS = "applied_migrations";
    BEGIN_READ = "begin_read";
    BIND = "bind";
    BYTES = "bytes";
    CACHE_STATS = "cache_stats";
    CATEGORY_COUNT = "category_count";
    CATEGORY_COUNTS = "category_counts";
    CHANGE_CATEGORY = "change_category";
    CHECK_CATEGORIES = "check_categories";
    CHECK_COLLECTIONS = "check_collections";
    CHECK_ORPHANS = "check_orphans";
    CHECK_ROWS = "check_rows";
    CHECK_STORE_ID = "check_store_id";
    CHECK_STRAY_ROWS = "check_stray_rows";
    CHECK_VECTORS = "check_vectors";
    COLLECTION = "collection";
    COLLECTIONS = "collections";
    COPY_COUNTS = "copy_counts";
    COUNT_INPUTS = "count_inputs";
    COUNT_SERVED = "count_served";
    CREATE_COLLECTION = "create_collection";
    DELETE_RECORD = "delete_record";
    DESCRIBE_SOURCE = "describe_source";
    DOCUMENT = "document";
    DROP_CATEGORY = "drop_category";
    DROP_INPUTS = "drop_inputs";
    END_READ = "end_read";
    FINGERPRINTS = "fingerprints";
    FINISH_COLLECTION = "finish_collection";
    FIRST_UNSERVED = "first_unserved";
    HAS_DOCUMENT = "has_document";
    HAS_MIGRATIONS = "has_migrations";
    INSERT_RECORD = "insert_record";
    INSERT_VECTOR = "insert_vector";
    IS_EMPTY = "is_empty";
    NAME_RUN = "name_run";
    NAME_SOURCE = "name_source";
    OTHER_OWNER = "other_owner";
    PREFERRED_VARIANT = "preferred_variant";
    PRUNE = "prune";
    RAISE_GENERATION = "raise_generation";
    READER = "reader";
    RECORD = "record";
    RECORD_MIGRATION = "record_migration";
    RECORD_RUN = "record_run";
    REGISTER_VERSION = "register_version";
    RELOCATE_RECORD = "relocate_record";
    RENEW_STORE = "renew_store";
    RUN = "run";
    RUNS = "runs";
    SALVAGE_CANARY = "salvage_canary";
    SALVAGE_COLLECTION = "salvage_collection";
    SALVAGE_RECORD = "salvage_record";
    SALVAGE_RUN = "salvage_run";
    SALVAGE_RUN_NAME = "salvage_run_name";
    SALVAGE_SETTLE = "salvage_settle";
    SALVAGE_SOURCE = "salvage_source";
    SALVAGE_UNDO = "salvage_undo";
    SALVAGE_VECTOR = "salvage_vector";
    SALVAGE_VERSION = "salvage_version";
    SCAN = "scan";
    SCAN_DOCUMENT = "scan_document";
    SCHEMA_OBJECTS = "schema_objects";
    SETTLE_STATES = "settle_states";
    SHRINK = "shrink";
    SOURCE = "source";
    SOURCE_NAMES = "source_names";
    SOURCES = "sources";
    STORE_GENERATION = "store_generation";
    UPDATE_RECORD = "update_record";
    VECTOR = "vector";
    VERSION = "version";
    VERSIONS = "versions";
    WRITER = "writer";
}
