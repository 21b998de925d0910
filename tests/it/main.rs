//! The product from outside: one module per area, each test named after what a user notices.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod backup;
mod bad_input;
mod bad_store;
mod budget;
mod calibration;
mod canary;
mod catalog;
mod copy;
mod costs;
mod data_sets;
mod diff;
mod dimensions;
mod doctor;
mod estimates;
mod eval;
mod features;
mod fixture;
mod flips;
mod guard;
mod hostile_settings;
mod hostile_sources;
mod identity;
mod import_chroma;
mod import_faiss;
mod import_road;
mod import_rollback;
mod import_support;
mod interruption;
mod lint;
mod local_models;
mod maintenance;
mod migrations;
mod model;
mod output;
mod plan_file;
mod postgres_cli;
mod postgres_faults;
mod postgres_moves;
mod postgres_pools;
mod postgres_replicas;
mod postgres_search;
mod postgres_servers;
mod postgres_settings;
mod postgres_sql;
mod promotions;
mod provider_faults;
mod read_only;
mod repair;
mod retry_cost;
mod road;
mod schema_history;
mod search;
mod search_fallback;
mod secrets;
mod serve_faults;
mod serve_hostile;
mod serve_keys;
mod serve_load;
mod serve_predict;
mod serve_search;
mod serve_strings;
mod settings;
mod signals;
mod similar;
mod state_machine;
mod support;
mod time;
mod troubleshooting;
mod versions;
mod versions_kept;
mod writers;
