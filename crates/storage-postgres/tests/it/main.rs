//! Tests on a real server, named by `TEST_DATABASE_URL`.

mod connect;
