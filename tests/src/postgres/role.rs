//! A role of a test's own: nobody special, and with a password that nothing may print.

use super::{Client, TestDatabase};

/// A role without any power but over what it is given, gone with this value. It goes after the database that holds
/// anything of it.
#[derive(Debug)]
pub struct TestRole {
    name: String,
    admin: String,
    password: &'static str,
}

impl TestRole {
    /// A role that may log in and has nothing yet.
    #[must_use]
    pub fn create(database: &TestDatabase, suffix: &str, password: &'static str) -> Self {
        let name = format!("{}_{suffix}", database.name());
        let admin = database.server().url.clone();
        Client::connect(&admin).run(&format!("create role {name} login password '{password}'"));
        Self {
            name,
            admin,
            password,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it reaches this database, with its password.
    #[must_use]
    pub fn url(&self, database: &TestDatabase) -> String {
        self.url_with(database, Some(self.password))
    }

    /// How it reaches this database with this password, or with none.
    #[must_use]
    pub fn url_with(&self, database: &TestDatabase, password: Option<&str>) -> String {
        let url = database.url_as(&self.name);
        let (scheme, rest) = url.split_once("://").unwrap();
        let (_, place) = rest.rsplit_once('@').unwrap();
        let password = password.map(|password| format!(":{password}"));
        format!(
            "{scheme}://{}{}@{place}",
            self.name,
            password.unwrap_or_default()
        )
    }
}

impl Drop for TestRole {
    fn drop(&mut self) {
        if let Ok(admin) = Client::try_connect(&self.admin) {
            let dropped = admin.try_run(&format!("drop role {}", self.name));
            if !std::thread::panicking() {
                dropped.unwrap();
            }
        }
    }
}
