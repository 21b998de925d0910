SELECT version, checksum FROM {schema}.smart_support_migrations ORDER BY version
