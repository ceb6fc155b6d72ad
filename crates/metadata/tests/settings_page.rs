//! The page of settings against the table that it is made from.

use ottla_metadata::configs::{self, Scope, page};

const PAGE: &str = include_str!("../../../docs/operating/settings.md");

#[test]
fn the_page_of_settings_is_up_to_date() {
    assert!(PAGE == page::page(), "run `cargo xtask settings`");
}

#[test]
fn every_key_has_a_row_of_its_own() {
    let rows: Vec<&str> = PAGE.lines().filter(|l| l.starts_with("| `")).collect();
    let scopes = [
        Scope::Broker,
        Scope::Topic,
        Scope::Group,
        Scope::ClientMetrics,
    ];
    let count: usize = scopes.iter().map(|scope| configs::keys(*scope).len()).sum();
    assert_eq!(rows.len(), count);
    for row in rows {
        let cells = row.replace("\\|", "").matches('|').count();
        assert_eq!(cells, 8, "{row}");
    }
}
