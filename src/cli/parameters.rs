//! `parameters`: what the Parameters tab of Argo CD shows, for the stock plugin server.

use super::generate::archive_root;
use crate::app::Environment;
use crate::cmp::announcement::announce;
use crate::config::Variables;
use crate::repo::Source;

/// JSON for `parameters.dynamic` of a `ConfigManagementPlugin`. It never fails, since a failure would take the tab away from
/// its user, who has nothing to do with it: what cannot be read is not announced.
pub(super) fn run(variables: &Variables) -> Vec<u8> {
    let environment = Environment::from_pairs(variables.text()).unwrap_or_default();
    let source = std::env::current_dir().ok().and_then(|folder| {
        let (root, app, above) = archive_root(&folder, environment.source_path().unwrap_or_default());
        Source::open_trimmed(&root, &app, &above).ok()
    });
    let mut json = serde_json::to_vec(&announce(source.as_ref(), &environment)).unwrap_or_else(|_| b"[]".to_vec());
    json.push(b'\n');
    json
}
