-- A role that may read one store and change nothing: for `smart-support search`, for dashboards, for psql.
--
--     psql "$DATABASE_URL" -v role=faq_reader -v schema=public -f deploy/postgres/read-only-role.sql
--
-- Run it as the role that owns the store's schema and may create roles; again is harmless. It sets no password: give one
-- with \password faq_reader, or let the server's pg_hba.conf say who may log in. To take the role away:
-- DROP OWNED BY faq_reader; DROP ROLE faq_reader;

\set ON_ERROR_STOP on
\if :{?role}
\else
    \set role smart_support_reader
\endif
\if :{?schema}
\else
    \set schema public
\endif

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

-- What it needs to look around: the database, the schema, and the schema that pgvector is in.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
GRANT USAGE ON SCHEMA :"schema" TO :"role";
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, :'role')
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'vector' \gexec

GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"role";
-- They run with the caller's rights, so those that write are refused by the tables.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA :"schema" TO :"role";

-- What later versions of the schema add.
ALTER DEFAULT PRIVILEGES IN SCHEMA :"schema" GRANT SELECT ON TABLES TO :"role";
ALTER DEFAULT PRIVILEGES IN SCHEMA :"schema" GRANT EXECUTE ON FUNCTIONS TO :"role";

-- A second lock, and a bound on what one statement may cost. Whoever logs in may lift both; the grants above hold.
ALTER ROLE :"role" SET default_transaction_read_only = on;
ALTER ROLE :"role" SET statement_timeout = '30s';

COMMIT;
