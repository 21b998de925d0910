//! Fixtures and helpers of the integration tests.
