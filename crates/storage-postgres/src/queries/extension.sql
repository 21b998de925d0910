-- One row of text about pgvector here: installed where, available in which version, and who may create it.
SELECT
    installed.extversion AS version,
    place.nspname AS schema,
    available.default_version AS available,
    coalesce(
        role.rolsuper
        OR (
            (SELECT bool_or(versions.trusted)
               FROM pg_catalog.pg_available_extension_versions AS versions
              WHERE versions.name = 'vector')
            AND pg_catalog.has_database_privilege(current_database(), 'CREATE')
        )
        -- Managed servers let these roles create what is on their list.
        OR EXISTS (
            SELECT FROM pg_catalog.pg_roles AS managed
             WHERE managed.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'neon_superuser')
               AND pg_catalog.pg_has_role(current_user, managed.oid, 'MEMBER')
        ),
        false
    ) AS creatable,
    coalesce(
        nullif(current_setting('rds.allowed_extensions', true), ''),
        nullif(current_setting('azure.extensions', true), '')
    ) AS listed,
    pg_catalog.has_schema_privilege(place.oid, 'USAGE') AS usable,
    current_user AS role,
    current_database() AS database,
    current_setting('server_version') AS server
FROM pg_catalog.pg_roles AS role
LEFT JOIN pg_catalog.pg_extension AS installed ON installed.extname = 'vector'
LEFT JOIN pg_catalog.pg_namespace AS place ON place.oid = installed.extnamespace
LEFT JOIN pg_catalog.pg_available_extensions AS available ON available.name = 'vector'
WHERE role.rolname = current_user
